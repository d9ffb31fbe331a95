// All customers: found by name, id or domain; and a new one.
import { h } from '../lib/dom.js';
import { call, get, query } from '../lib/api.js';
import { checkbox, choice, confirm, field, form, tell, copyable } from '../lib/form.js';
import { block, note, state } from '../lib/block.js';
import { table } from '../lib/table.js';
import { number } from '../lib/format.js';
import { kinds } from '../main.js';
import { t } from '../lib/i18n.js';

const PAGE = 1000;

async function create(ctx) {
	const made = await confirm({ title: t('account.add'), text: t('account.add.text'), verb: t('account.add'), danger: false, fields: [
		field({ name: 'name', label: t('account.name'), required: true, maxlength: 200 }),
		field({ name: 'contact', label: t('account.contact'), help: t('account.contact.help'), type: 'email', required: true }),
		field({ name: 'language', label: t('me.language'), value: 'it', options: [['it', 'Italiano'], ['en', 'English'], ['both', t('both')]] }),
		field({ name: 'domains', label: t('domains'), help: t('account.domains.help'), required: true, spellcheck: 'false' }),
		field({ name: 'plan', label: t('plan'), help: t('account.plan.help') }),
		choice({ name: 'mode', legend: t('mode'), value: 'credentials', options: [['credentials', t('mode.credentials')], ['ip', t('mode.ip')]] }),
		field({ name: 'addresses', label: t('addresses'), help: t('account.addresses.help') }),
		checkbox({ name: 'verified', label: t('account.verified'), help: t('account.verified.help') })],
	act: values => {
		const words = text => text.split(/[\s,;]+/).filter(Boolean);
		const domains = words(values.domains).map(one => {
			const [name, mailboxes] = one.split('=');
			return mailboxes ? { name, mailboxes: Number(mailboxes) } : { name };
		});
		return call('POST', 'accounts', { name: values.name.trim(), contact: values.contact.trim(), language: values.language, domains, mode: values.mode, verified: Boolean(values.verified),
			...(values.plan && { plan: values.plan.trim() }), ...(values.mode === 'ip' && { addresses: words(values.addresses) }) });
	} });
	if (!made) return;
	if (made.password) await tell({ title: t('secret.title'), done: t('saved.it') }, note('warn', h('p', {}, t('secret.once'))), copyable(made.username, t('username')), copyable(made.password, t('login.password')));
	ctx.go(`/op/accounts/${encodeURIComponent(made.account)}`);
}

function matches(one, text) {
	return [one.id, one.name, one.contact, ...one.domains.map(domain => domain.name), ...(one.users ?? []).map(user => user.username), ...(one.addresses ?? []).map(address => address.address)]
		.some(word => word.toLowerCase().includes(text));
}

export function page(ctx) {
	const text = (ctx.query.get('q') ?? '').trim().toLowerCase(), status = ctx.query.get('status') ?? '';
	const filters = form({ submit: t('search'), send: async values => ctx.go(`/op/accounts${query({ q: values.q.trim(), status: values.status })}`) },
		field({ name: 'q', type: 'search', label: t('op.search'), help: t('op.search.help'), value: text, big: true, spellcheck: 'false' }),
		field({ name: 'status', label: t('state'), value: status, options: [['', t('all')], ['pending', t('status.pending')], ['active', t('status.active')], ['disabled', t('status.disabled')]] }));
	filters.className = 'filters';

	const load = async signal => {
		const found = [];
		let after = '';
		do {
			const part = await get(`accounts${query({ limit: PAGE, after })}`, signal);
			found.push(...part.accounts.filter(one => (!text || matches(one, text)) && (!status || one.status === status)));
			after = part.next;
		} while (after && found.length < PAGE);
		return { accounts: found.slice(0, PAGE), cut: Boolean(after) };
	};
	return { title: t('page.op_accounts'), lead: t('op_accounts.lead'), action: h('button', { type: 'button', class: 'primary', onclick: () => create(ctx) }, t('account.add')), content: [
		h('section', { class: 'card' }, filters),
		h('section', { class: 'card' }, block(ctx, { label: t('page.op_accounts'), every: 60, height: 400, load, isEmpty: found => found.accounts.length === 0,
			empty: () => note('info', h('p', {}, t(text || status ? 'op_accounts.nothing' : 'op_accounts.none'))), view: found => {
				let seen = 50;
				return [h('p', { class: 'soft' }, t('op_accounts.count', { N: found.accounts.length })), table({ caption: t('op_accounts.caption'), rows: found.accounts.slice(0, seen), columns: [
					{ label: t('account.name'), head: true, sort: one => one.name.toLowerCase(), cell: one => h('a', { href: `/op/accounts/${encodeURIComponent(one.id)}` }, one.name) },
					{ label: t('state'), sort: one => one.status, cell: one => state(kinds[one.status] ?? 'off', t(`status.${one.status}`)) },
					{ label: t('mode'), cell: one => t(`mode.${one.mode}`) },
					{ label: t('domains'), cell: one => [one.domains[0]?.name ?? '–', one.domains.length > 1 && h('span', { class: 'soft' }, ` ${t('mail.more', { N: one.domains.length - 1 })}`)] },
					{ label: t('mailboxes'), number: true, sort: one => one.mailboxes ?? 0, cell: one => number(one.mailboxes ?? 0) }],
				more: found.accounts.length > seen && (async () => {
					const rows = found.accounts.slice(seen, seen + 50);
					seen += 50;
					return { rows, last: seen >= found.accounts.length };
				}) }), found.cut && h('p', { class: 'small soft' }, t('op_accounts.cut'))];
			} }))] };
}
