// What to type into the server; how we know the server; its addresses and its credentials.
import { h, fill } from '../lib/dom.js';
import { at, call, get } from '../lib/api.js';
import { checkbox, choice, confirm, copyable, doing, field, tell } from '../lib/form.js';
import { block, note, state } from '../lib/block.js';
import { table } from '../lib/table.js';
import { time, timeText } from '../lib/format.js';
import { parts, t } from '../lib/i18n.js';

const GRACE_DAYS = 14, RENEW_HOURS = 168;

// The secret that was made just now, for the guides; this page alone has it.
let fresh = null;
export const freshSecret = username => fresh?.username === username ? fresh.password : null;

async function showSecret(made) {
	fresh = { username: made.username, password: made.password };
	await tell({ title: t('secret.title'), done: t('saved.it') }, note('warn', h('p', {}, t('secret.once'))),
		h('div', { class: 'tight' }, h('b', {}, t('username')), copyable(made.username, t('username'))),
		h('div', { class: 'tight' }, h('b', {}, t('login.password')), copyable(made.password, t('login.password'))));
}

function data(account, mine) {
	const mail = () => confirm({ title: t('connection.mail'), text: t('account.mail.text', { CONTACT: account.contact }), verb: t('account.mail.verb'), danger: false,
		act: () => call('POST', `${mine}/notices/config/send`, {}) });
	const row = (port, tls, more) => ({ port, tls, more });
	const rows = [row('587', 'STARTTLS', t('port.587')), row('465', 'TLS', t('port.465')), row('25', 'STARTTLS', t('port.25'))];
	return h('section', { class: 'card' }, h('h2', {}, t('connection.data')),
		h('dl', { class: 'facts' }, h('dt', {}, t('server')), h('dd', {}, copyable(account.host ?? t('unknown'), t('server'))),
			account.host_before && [h('dt', {}, t('server.before')), h('dd', {}, h('code', {}, account.host_before), ' ', t('until'), ' ', time(account.host_before_until))],
			h('dt', {}, t('auth')), h('dd', {}, t(`auth.${account.mode}`))),
		table({ caption: t('ports'), rows, columns: [{ label: t('port'), head: true, cell: one => one.port }, { label: t('cipher'), cell: one => one.tls }, { label: t('port.when'), cell: one => one.more }] }),
		h('div', { class: 'row' }, h('a', { class: 'button', href: '/guides' }, t('connection.guides')), h('button', { type: 'button', onclick: mail }, t('connection.mail'))));
}

async function switchMode(mine, to, again) {
	const done = await confirm({ title: t(`switch.${to}`), text: t('switch.text', { N: GRACE_DAYS }), verb: t(`switch.${to}.verb`), danger: false,
		act: () => call('PUT', `${mine}/mode`, { mode: to, grace_days: GRACE_DAYS }) });
	if (done?.password) await showSecret(done);
	if (done) again();
}

function mode(account, mine, again) {
	const other = account.mode === 'ip' ? 'credentials' : 'ip';
	const act = (method, path, key, danger) => h('button', { type: 'button', class: danger && 'danger', onclick: async () => {
		if (await confirm({ title: t(key), text: t(`${key}.text`), verb: t(key), danger, act: () => call(method, `${mine}/${path}`) })) again();
	} }, t(key));
	const body = [];
	if (account.switch) body.push(note('info', h('p', {}, t('switch.waiting', { MODE: t(`mode.${account.switch.to}`) }), ' ', time(account.switch.since)), h('p', {}, t('switch.both')),
		h('div', { class: 'row' }, act('DELETE', 'mode', 'switch.undo', false))));
	if (account.grace) body.push(note('warn', h('p', {}, parts('grace.until', { MODE: t(`mode.${account.grace.mode}`), WHEN: time(account.grace.until) })),
		h('div', { class: 'row' }, !account.grace.extended && act('PATCH', 'mode/grace', 'grace.extend', false), act('DELETE', 'mode/grace', 'grace.end', true))));
	if (!account.switch) body.push(h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => switchMode(mine, other, again) }, t(`switch.${other}.verb`))),
		other === 'ip' && !account.addresses?.some(one => one.active) && h('p', { class: 'small soft' }, t('switch.ip.first')));
	return h('section', { class: 'card' }, h('h2', {}, t('mode'), state('ok', t(`mode.${account.mode}`))), h('p', {}, t(`mode.${account.mode}.text`)), body);
}

const addressKind = { active: 'ok', waiting: 'warn', lapsing: 'warn', lapsed: 'off' };

async function proofLink(mine, address) {
	const link = await call('POST', `${mine}/${at('addresses', address)}/proof`);
	const url = location.origin + link.path;
	await tell({ title: t('proof.title', { IP: address }) }, h('p', {}, parts('proof.how', { WHEN: timeText(link.until) })), copyable(url, t('link')), copyable(`curl -4 ${url}`, 'curl'));
}

function addresses(ctx, account, mine, again) {
	const add = (value = '') => confirm({ title: t('address.add'), text: t('address.add.text'), verb: t('address.add'), danger: false,
		fields: [field({ name: 'address', label: t('address'), help: t('address.help'), value, required: true, spellcheck: 'false' })],
		act: ({ address }) => call('POST', `${mine}/addresses`, ctx.operator ? { address: address.trim() } : { address: address.trim(), waiting: true }) }).then(done => { if (done) again(); });
	const seen = block(ctx, { label: t('address.seen'), every: 0, height: 44, load: signal => get('ip', signal), view: ({ address, ipv6 }) => [
		h('div', { class: 'row' }, h('p', {}, parts('connection.youare', { IP: h('b', {}, address) })),
			!ipv6 && h('button', { type: 'button', onclick: () => add(address) }, t('address.addthis'))),
		ipv6 && note('warn', h('p', {}, t('connection.ipv6'))), h('p', { class: 'small soft' }, t('connection.elsewhere'))] });
	const remove = one => confirm({ title: t('address.remove', { IP: one.address }), text: t('address.remove.text'), verb: t('address.remove.verb'),
		act: () => call('DELETE', `${mine}/${at('addresses', one.address)}`) }).then(done => { if (done) again(); });
	const word = one => one.state ?? (one.active ? 'active' : 'waiting');
	const list = account.addresses?.length ? table({ caption: t('addresses.caption'), rows: account.addresses, columns: [
		{ label: t('address'), head: true, cell: one => h('code', {}, one.address) },
		{ label: t('state'), cell: one => state(addressKind[word(one)], t(`address.${word(one)}`)) },
		{ label: t('address.lapses'), cell: one => one.lapses ? time(one.lapses) : '–' },
		{ label: t('actions'), bare: true, cell: one => h('div', { class: 'row' },
			(word(one) === 'waiting' || word(one) === 'lapsed') && h('button', { type: 'button', onclick: doing(() => proofLink(mine, one.address)) }, t('address.prove')),
			h('button', { type: 'button', class: 'danger', onclick: () => remove(one) }, t('address.remove.verb'))) }] })
		: h('p', { class: 'soft' }, t(account.mode === 'ip' ? 'addresses.none.ip' : 'addresses.none'));
	return h('section', { class: 'card' }, h('h2', {}, t('addresses'), h('button', { type: 'button', onclick: () => add() }, t('address.add'))), seen, list);
}

const userKind = { active: 'ok', grace: 'warn', disabled: 'off', suspended: 'bad', sandbox: 'hold' };

function users(account, mine, again) {
	const create = async () => {
		const made = await confirm({ title: t('user.add'), text: t('user.add.text'), verb: t('user.add'), danger: false,
			fields: [field({ name: 'label', label: t('label'), help: t('user.label.help'), maxlength: 64 }), checkbox({ name: 'mail', label: t('user.mail'), help: t('user.mail.help') })],
			act: ({ mail, label }) => call('POST', `${mine}/users`, { ...(label.trim() && { label: label.trim() }), ...(mail && { mail: true }) }) });
		if (!made) return;
		await showSecret(made);
		again();
	};
	const renew = async one => {
		const made = await confirm({ title: t('user.renew', { USER: one.username }), text: t('user.renew.text'), verb: t('user.renew.verb'), danger: false,
			fields: [one.state && choice({ name: 'grace', legend: t('user.before'), value: String(RENEW_HOURS), options: [[String(RENEW_HOURS), t('user.grace.week')], ['0', t('user.grace.none')]] }),
				checkbox({ name: 'mail', label: t('user.mail'), help: t('user.mail.help') })],
			act: ({ mail, grace }) => call('POST', `${mine}/password`, { username: one.username, ...(mail && { mail: true }), ...(Number(grace) > 0 && { grace_hours: Number(grace) }) }) });
		if (!made) return;
		await showSecret(made);
		again();
	};
	const remove = one => confirm({ title: t('user.remove', { USER: one.username }), text: t('user.remove.text'), verb: t('user.remove.verb'),
		act: () => call('DELETE', `${mine}/${at('users', one.username)}`) }).then(done => { if (done) again(); });
	const enable = (one, enabled) => confirm({ title: t(enabled ? 'user.enable' : 'user.disable.title', { USER: one.username }), text: enabled ? one.username : t('user.disable.text'),
		verb: t(enabled ? 'user.enable' : 'user.disable'), danger: !enabled, act: () => call('PATCH', `${mine}/${at('users', one.username)}`, { enabled }) }).then(done => { if (done) again(); });
	const word = one => one.state ?? (one.enabled ? 'active' : 'disabled');
	const list = account.users?.length ? table({ caption: t('users.caption'), rows: account.users, columns: [
		{ label: t('username'), head: true, cell: one => h('div', { class: 'tight' }, h('code', {}, one.username), one.label && h('span', { class: 'small soft' }, one.label)) },
		{ label: t('state'), cell: one => h('div', { class: 'tight' }, h('span', {}, state(userKind[word(one)] ?? 'off', t(`user.${word(one)}`))),
			one.until && h('span', { class: 'small soft' }, t('user.until'), ' ', time(one.until)), one.suspended && h('span', { class: 'small' }, t('user.suspended.why', { WHY: one.suspended })),
			one.failures > 0 && h('span', { class: 'small soft' }, t('user.failures', { N: one.failures }))) },
		{ label: t('user.last'), cell: one => one.last ? h('div', { class: 'tight' }, time(one.last.at), h('code', { class: 'small' }, one.last.address)) : '–' },
		{ label: t('actions'), bare: true, cell: one => h('div', { class: 'row' }, h('a', { class: 'button', href: `/guides?user=${encodeURIComponent(one.username)}` }, t('page.guides')),
			h('button', { type: 'button', onclick: () => renew(one) }, t('user.renew.verb')),
			h('button', { type: 'button', onclick: () => enable(one, !one.enabled) }, t(one.enabled ? 'user.disable' : 'user.enable')),
			h('button', { type: 'button', class: 'danger', onclick: () => remove(one) }, t('user.remove.verb'))) }] })
		: h('p', { class: 'soft' }, t('users.none'));
	return h('section', { class: 'card' }, h('h2', {}, t('users'), h('button', { type: 'button', onclick: create }, t('user.add'))), h('p', { class: 'soft' }, t('users.advice')), list);
}

export function page(ctx) {
	const mine = at('accounts', ctx.account);
	return { title: t('page.connection'), lead: t('connection.lead'), content: block(ctx, { label: t('page.connection'), every: 15, height: 480,
		load: signal => get(mine, signal), view: (account, again) => h('div', { class: 'stack wide' }, data(account, mine), mode(account, mine, again),
			account.mode === 'ip' || account.switch?.to === 'ip' ? [addresses(ctx, account, mine, again), users(account, mine, again)]
				: [users(account, mine, again), addresses(ctx, account, mine, again)]) }) };
}
