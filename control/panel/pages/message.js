// One message: what it was, what became of it for each recipient, and every step on the way.
import { h } from '../lib/dom.js';
import { at, get } from '../lib/api.js';
import { copyable } from '../lib/form.js';
import { block } from '../lib/block.js';
import { icon } from '../lib/icons.js';
import { causeText, kindOf, mailState } from '../lib/mail.js';
import { table } from '../lib/table.js';
import { orDash, size, time, timeLong } from '../lib/format.js';
import { has, language, t } from '../lib/i18n.js';

function now(one) {
	if (one.state === 'deferred') return one.due ? [t('now.deferred'), ' ', time(one.due)] : t('now.deferred.open');
	return has(`now.${one.state}`) ? t(`now.${one.state}`) : '–';
}

function facts(message) {
	const row = (key, value) => [h('dt', {}, t(key)), h('dd', {}, value)];
	return h('section', { class: 'card c6' }, h('h2', {}, t('message.facts')), h('dl', { class: 'facts' }, row('message.at', timeLong(message.at)),
		row('from', message.from === '' ? t('from.null') : orDash(message.from)), message.header_from && message.header_from !== message.from && row('message.header_from', message.header_from),
		row('message.size', message.size === null ? t('unknown') : size(message.size)), row('credential', message.credential ? h('code', {}, message.credential) : t('unknown')),
		row('message.client', message.client ? h('code', {}, message.client) : t('unknown')), row('message.tls', message.tls || t('message.tls.none')),
		message.message_id && row('message.id', h('code', {}, message.message_id)), row('message.kept', time(message.kept_until))));
}

function targets(message) {
	return h('section', { class: 'card c6' }, h('h2', {}, t('message.to')), table({ caption: t('message.to.caption'), rows: message.to, columns: [
		{ label: t('to'), head: true, cell: one => one.address }, { label: t('state'), cell: one => mailState(one.state) },
		{ label: t('message.now'), cell: one => h('div', { class: 'tight' }, h('span', {}, now(one)), one.class && h('span', { class: 'small soft' }, causeText(one.class))) }] }));
}

const eventKind = { deferred: 'warn', delivered: 'ok', bounced: 'bad', expired: 'bad', held: 'hold', released: 'info', scanned: 'info', accepted: 'info', sandboxed: 'off' };

function event(one) {
	const kind = eventKind[one.event] ?? 'off', meaning = one.meaning?.[language];
	const hosts = [one.host, one.egress_ip && `${t('message.ourip')} ${one.egress_ip}`].filter(Boolean).join(' · ');
	const to = Array.isArray(one.to) ? one.to.join(', ') : one.to;
	return h('li', {}, h('span', { class: `dot ${kind}` }, icon(kind)), h('div', { class: 'row' }, h('b', {}, has(`event.${one.event}`) ? t(`event.${one.event}`) : one.event), h('span', { class: 'small soft' }, timeLong(one.at))),
		to && h('p', { class: 'small' }, to), hosts && h('p', { class: 'small soft' }, hosts),
		meaning && h('dl', { class: 'parts' }, h('dt', {}, t('problem.happens')), h('dd', {}, meaning.what), h('dt', {}, t('problem.do')), h('dd', {}, meaning.you), h('dt', {}, t('who.us.title')), h('dd', {}, meaning.we)),
		one.note && h('p', { class: 'small' }, one.note), one.signature && h('p', { class: 'small' }, t('message.signature'), ' ', h('code', {}, one.signature)), one.reply && h('code', { class: 'original' }, one.reply));
}

function story(message) {
	const begin = [{ at: message.at, event: 'accepted' }, message.scanned && { at: message.scanned, event: 'scanned', note: has(`verdict.${message.verdict}`) ? t(`verdict.${message.verdict}`) : message.verdict }].filter(Boolean);
	return h('section', { class: 'card' }, h('h2', {}, t('message.story')), h('ol', { class: 'timeline' }, [...begin, ...message.events].map(event)));
}

function forSupport(message) {
	const lines = [`id ${message.id}`, `at ${message.at}`, `from ${message.from}`, ...message.to.map(one => `to ${one.address} ${one.state} ${one.class ?? ''}`),
		...message.events.filter(one => one.reply).map(one => `${one.at} ${one.event} ${one.host ?? ''} ${one.reply}`)];
	return h('section', { class: 'card' }, h('h2', {}, t('message.support')), h('p', { class: 'soft' }, t('message.support.text')), copyable(lines.join('\n'), t('message.support')));
}

export function page(ctx) {
	const base = ctx.desk ? '/op/messages' : '/messages';
	const route = ctx.desk ? at('messages', ctx.params.id) : at('accounts', ctx.account, 'messages', ctx.params.id);
	return { title: t('page.message'), lead: t('message.lead'), crumb: h('a', { href: base }, t('page.messages')), content: [
		h('p', {}, h('code', {}, ctx.params.id)),
		block(ctx, { label: t('page.message'), every: 15, height: 480, load: signal => get(route, signal), view: message => h('div', { class: 'stack wide' },
			ctx.desk && message.account && h('p', {}, h('a', { href: `/op/accounts/${encodeURIComponent(message.account)}` }, t('message.account'))),
			h('div', { class: 'cols' }, targets(message), facts(message)), story(message), forSupport(message)) })] };
}
