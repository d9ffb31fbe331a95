// One guide: before, steps with the account's own values, a check, usual errors.
import { h, save } from '../lib/dom.js';
import { at, get } from '../lib/api.js';
import { copyable, field } from '../lib/form.js';
import { block, note } from '../lib/block.js';
import { icon } from '../lib/icons.js';
import { language, t } from '../lib/i18n.js';
import { freshSecret } from './connection.js';

function fillIn(text, values) {
	return text.replace(/\{(HOST|USER|PASSWORD|IP)\}/g, (whole, name) => values[name] ?? whole);
}

function shown(step, mode) {
	return (step.mode ?? mode) === mode;
}

function stepOf(step, values) {
	return h('li', {}, h('div', { class: 'tight' }, h('h3', {}, step.title), step.text && h('p', {}, fillIn(step.text, values))),
		step.list && h('ul', {}, step.list.map(one => h('li', {}, fillIn(one, values)))),
		step.code && copyable(fillIn(step.code, values), step.title),
		step.file && h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => save(step.file, fillIn(step.code, values)) }, t('guide.save', { FILE: step.file }))),
		step.warn && note('warn', h('p', {}, fillIn(step.warn, values))));
}

function view(guide, account, ctx) {
	const user = ctx.query.get('user') ?? account.users?.find(one => one.enabled !== false)?.username ?? t('guide.user');
	const mode = account.switch?.to ?? account.mode;
	const values = { HOST: account.host ?? location.hostname, USER: user, PASSWORD: freshSecret(user) ?? t('guide.password'),
		IP: account.addresses?.find(one => one.active)?.address ?? '' };
	const chooser = account.users?.length > 1 && field({ name: 'user', label: t('guide.which'), value: user, options: account.users.map(one => [one.username, one.label ? `${one.label} (${one.username})` : one.username]) });
	chooser?.addEventListener?.('change', event => ctx.go(`${ctx.path}?user=${encodeURIComponent(event.target.value)}`, { replace: true }));
	return h('div', { class: 'stack wide' },
		guide.warn && note('warn', guide.warn.map(one => h('p', {}, one))),
		h('section', { class: 'card' }, h('h2', {}, t('guide.before')), h('dl', { class: 'facts' }, h('dt', {}, t('guide.rights')), h('dd', {}, guide.rights),
			h('dt', {}, t('guide.time')), h('dd', {}, guide.time), h('dt', {}, t('guide.undo')), h('dd', {}, guide.undo), h('dt', {}, t('mode')), h('dd', {}, t(`mode.${mode}`))), mode === 'credentials' && chooser),
		h('section', { class: 'card' }, h('h2', {}, t('guide.steps')), h('ol', { class: 'steps' }, guide.steps.filter(one => shown(one, mode)).map(one => stepOf(one, values)))),
		h('section', { class: 'card' }, h('h2', {}, t('guide.check')), h('p', {}, t('guide.check.text')), copyable(`openssl s_client -starttls smtp -connect ${values.HOST}:587 -servername ${values.HOST}`, 'openssl'),
			copyable(`Test-NetConnection ${values.HOST} -Port 587`, 'PowerShell'), h('p', {}, h('a', { href: '/messages' }, t('guide.check.messages')))),
		h('section', { class: 'card' }, h('h2', {}, t('guide.errors')), [...(guide.errors ?? []), ...t('guide.errors.all').split('\n').map(one => one.split('|'))].map(([what, then]) =>
			h('details', {}, h('summary', {}, what), h('div', {}, h('p', {}, then)))), h('p', {}, h('a', { href: '/help', 'data-plain': true }, icon('book'), ' ', t('guide.help')))));
}

export async function page(ctx) {
	const { guides } = await import(`../guides/${language}.js`);
	const guide = guides[ctx.params.server];
	const crumb = h('a', { href: '/guides' }, t('page.guides'));
	if (!guide || !Object.hasOwn(guides, ctx.params.server)) return { title: t('nopage.title'), lead: t('guide.unknown'), crumb, content: [] };
	return { title: guide.name, lead: guide.short, crumb, content: block(ctx, { label: guide.name, every: 0, height: 480,
		load: signal => get(at('accounts', ctx.account), signal), view: account => view(guide, account, ctx) }) };
}
