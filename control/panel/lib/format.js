// Numbers and times as the reader's language writes them. Times are shown in the browser's zone.
import { h } from './dom.js';
import { locale, t } from './i18n.js';

export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';
const short = new Intl.DateTimeFormat(locale, { day: '2-digit', month: '2-digit', year: 'numeric', hour: '2-digit', minute: '2-digit' });
const long = new Intl.DateTimeFormat(locale, { day: '2-digit', month: '2-digit', year: 'numeric', hour: '2-digit',
	minute: '2-digit', second: '2-digit', timeZoneName: 'short' });
const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });

export const number = n => n.toLocaleString(locale);

export function ago(at, now = Date.now()) {
	const seconds = Math.round((new Date(at) - now) / 1000), size = Math.abs(seconds);
	if (size < 60) return relative.format(seconds, 'second');
	if (size < 3600) return relative.format(Math.round(seconds / 60), 'minute');
	if (size < 86400) return relative.format(Math.round(seconds / 3600), 'hour');
	return relative.format(Math.round(seconds / 86400), 'day');
}

export const timeText = at => short.format(new Date(at));
export const time = at => h('time', { datetime: at, title: long.format(new Date(at)) }, timeText(at));
export const timeLong = at => h('time', { datetime: at }, long.format(new Date(at)));
export const clock = at => new Date(at).toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit' });

export function size(bytes) {
	const units = ['B', 'kB', 'MB', 'GB'];
	let step = 0, n = bytes;
	for (; n >= 1000 && step < 3; step++) n /= 1000;
	return `${n.toLocaleString(locale, { maximumFractionDigits: step ? 1 : 0 })} ${units[step]}`;
}

export const percent = part => part.toLocaleString(locale, { style: 'percent', maximumFractionDigits: 1 });
export const orDash = value => value === null || value === undefined || value === '' ? t('unknown') : value;
