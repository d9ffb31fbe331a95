// One customer, for the operator: problems first, then what it is and does.
import { h } from '../lib/dom.js';
import { at, call, get } from '../lib/api.js';
import { confirm, field } from '../lib/form.js';
import { block, note, state } from '../lib/block.js';
import { table } from '../lib/table.js';
import { number, percent, time } from '../lib/format.js';
import { kinds } from '../main.js';
import { t } from '../lib/i18n.js';

const WINDOWS = ['5m', '1h', '24h', '7d'];

function facts(account) {
	const row = (key, value) => [h('dt', {}, t(key)), h('dd', {}, value)];
	return h('section', { class: 'card c6' }, h('h2', {}, t('account.facts')), h('dl', { class: 'facts' }, row('account.id', h('code', {}, account.id)), row('account.contact', account.contact),
		row('account.host', account.host ? h('code', {}, account.host) : t('unknown')), row('mode', t(`mode.${account.mode}`)), row('plan', account.plan ?? t('none')), row('mailboxes', number(account.mailboxes ?? 0)),
		account.created && row('account.created', time(account.created)), account.changed && row('account.changed', time(account.changed)),
		['messages_hour', 'messages_day', 'recipients_hour', 'recipients_day'].map(key => row(`limit.${key}`, account.limits_in_force?.[key] ? number(account.limits_in_force[key]) : t('limit.none')))));
}

function score(account) {
	if (!account.score) return note('off', h('p', {}, t('score.unknown')));
	return table({ caption: t('score.caption'), rows: WINDOWS.filter(one => account.score[one]).map(one => ({ window: one, ...account.score[one] })), columns: [
		{ label: t('period'), head: true, cell: one => t(`period.${one.window}`) }, { label: t('score.recipients'), number: true, cell: one => number(one.recipients ?? 0) },
		{ label: t('score.bounces'), number: true, cell: one => `${number(one.hard_bounces ?? 0)} (${percent(one.recipients ? (one.hard_bounces ?? 0) / one.recipients : 0)})` },
		{ label: t('score.unknowns'), number: true, cell: one => number(one.unknown_users ?? 0) }, { label: t('score.viruses'), number: true, cell: one => number(one.viruses ?? 0) }] });
}

function lists(account) {
	return [h('section', { class: 'card c6' }, h('h2', {}, t('domains')), table({ caption: t('domains.caption'), rows: account.domains, columns: [
		{ label: t('domain'), head: true, cell: one => one.name }, { label: t('domain.ownership'), cell: one => one.verified ? state('ok', t('domain.verified')) : state('warn', t('domain.unverified')) },
		{ label: t('mailboxes'), number: true, cell: one => number(one.mailboxes ?? 0) }] })),
	h('section', { class: 'card c6' }, h('h2', {}, t('users')), account.users?.length ? table({ caption: t('users.caption'), rows: account.users, columns: [
		{ label: t('username'), head: true, cell: one => h('code', {}, one.username) }, { label: t('state'), cell: one => one.enabled ? state('ok', t('user.active')) : state('off', t('user.disabled')) }] }) : h('p', { class: 'soft' }, t('users.none'))),
	h('section', { class: 'card c6' }, h('h2', {}, t('addresses')), account.addresses?.length ? table({ caption: t('addresses.caption'), rows: account.addresses, columns: [
		{ label: t('address'), head: true, cell: one => h('code', {}, one.address) }, { label: t('state'), cell: one => t(`address.${one.state ?? 'active'}`) }] }) : h('p', { class: 'soft' }, t('addresses.none')))];
}

function mails(ctx, mine) {
	return h('section', { class: 'card' }, h('h2', {}, t('account.mails')), block(ctx, { label: t('account.mails'), every: 60, height: 80, load: signal => get(`${mine}/notices`, signal),
		isEmpty: found => found.notices.length === 0, empty: () => h('p', { class: 'soft' }, t('account.mails.none')), view: found => table({ caption: t('account.mails.caption'), rows: found.notices, columns: [
			{ label: t('account.mail'), head: true, cell: one => h('code', {}, one.mail) }, { label: t('account.mails.about'), cell: one => one.about || '–' },
			{ label: t('to'), cell: one => one.to }, { label: t('time'), cell: one => time(one.at) }] }) }));
}

function actions(account, mine, ctx, again) {
	const then = done => { if (done) again(); };
	const suspend = () => confirm({ title: t('account.suspend', { NAME: account.name }), text: t('account.suspend.text'), verb: t('account.suspend.verb'),
		fields: [field({ name: 'reason', label: t('account.reason'), help: t('account.reason.help'), maxlength: 200 })],
		act: ({ reason }) => call('POST', `${mine}/disable`, reason.trim() ? { reason: reason.trim() } : undefined) }).then(then);
	const resume = () => confirm({ title: t('account.resume', { NAME: account.name }), text: t('account.resume.text'), verb: t('account.resume.verb'), danger: false, act: () => call('POST', `${mine}/enable`) }).then(then);
	const change = () => confirm({ title: t('account.change', { NAME: account.name }), text: t('account.change.text'), verb: t('account.change.verb'), danger: false,
		fields: [field({ name: 'name', label: t('account.name'), value: account.name, required: true, maxlength: 200 }), field({ name: 'contact', label: t('account.contact'), value: account.contact, type: 'email', required: true })],
		act: values => call('PATCH', mine, { name: values.name.trim(), contact: values.contact.trim() }, { version: account.version }) }).then(then);
	const mail = key => confirm({ title: t(`account.mail.${key}`), text: t('account.mail.text', { CONTACT: account.contact }), verb: t('account.mail.verb'), danger: false, act: () => call('POST', `${mine}/notices/${key}/send`, {}) });
	return h('section', { class: 'card' }, h('h2', {}, t('actions')), h('div', { class: 'row' },
		h('button', { type: 'button', class: 'primary', onclick: () => ctx.enter(account.id) }, t('account.enter')),
		h('a', { class: 'button', href: `/op/messages?account=${encodeURIComponent(account.id)}` }, t('page.op_messages')),
		h('button', { type: 'button', onclick: change }, t('account.change.verb')),
		h('button', { type: 'button', onclick: () => mail('activation') }, t('account.mail.activation')), h('button', { type: 'button', onclick: () => mail('config') }, t('account.mail.config')),
		account.status === 'active' ? h('button', { type: 'button', class: 'danger', onclick: suspend }, t('account.suspend.verb'))
			: (account.status === 'disabled' || account.status === 'pending') && h('button', { type: 'button', onclick: resume }, t('account.resume.verb'))));
}

export function page(ctx) {
	const id = ctx.params.account, mine = at('accounts', id);
	return { title: t('page.op_account'), lead: t('op_account.lead'), crumb: h('a', { href: '/op/accounts' }, t('page.op_accounts')),
		content: [block(ctx, { label: t('page.op_account'), every: 30, height: 480, load: signal => get(mine, signal, { withVersion: true }), view: (account, again) => h('div', { class: 'stack wide' },
			h('div', { class: 'row' }, h('h2', {}, account.name), state(kinds[account.status] ?? 'off', t(`status.${account.status}`))),
			account.reason && note('bad', h('p', {}, account.reason)), actions(account, mine, ctx, again), h('div', { class: 'cols' }, facts(account), h('section', { class: 'card c6' }, h('h2', {}, t('score')), score(account)), lists(account))) }), mails(ctx, mine)] };
}
