// The account's domains, and how many mailboxes each has.
import { h } from '../lib/dom.js';
import { at, call, get } from '../lib/api.js';
import { confirm, field, form } from '../lib/form.js';
import { block, note, state } from '../lib/block.js';
import { table } from '../lib/table.js';
import { number } from '../lib/format.js';
import { t } from '../lib/i18n.js';

function list(account, mine, again) {
	const add = async () => {
		const done = await confirm({ title: t('domain.add'), text: t('domain.add.text'), verb: t('domain.add'), danger: false,
			fields: [field({ name: 'name', label: t('domain'), help: t('domain.help'), required: true, spellcheck: 'false' })],
			act: ({ name }) => call('POST', `${mine}/domains`, { name: name.trim().toLowerCase() }) });
		if (done) again();
	};
	return h('section', { class: 'card' }, h('h2', {}, t('domains'), h('button', { type: 'button', onclick: add }, t('domain.add'))),
		table({ caption: t('domains.caption'), rows: account.domains, columns: [
			{ label: t('domain'), head: true, sort: one => one.name, cell: one => h('a', { href: `/domains/${encodeURIComponent(one.name)}` }, one.name) },
			{ label: t('domain.ownership'), cell: one => one.verified ? state('ok', t('domain.verified')) : state('warn', t('domain.unverified')) },
			{ label: t('mailboxes'), number: true, cell: one => number(one.mailboxes ?? 0) },
			{ label: t('actions'), bare: true, cell: one => h('a', { class: 'button', href: `/domains/${encodeURIComponent(one.name)}` }, t('domain.look')) }] }));
}

function mailboxes(account, mine, again) {
	if (account.status !== 'active') return h('section', { class: 'card' }, h('h2', {}, t('mailboxes')), note('off', h('p', {}, t('mailboxes.inactive'))));
	const total = h('b', {}, number(account.mailboxes ?? 0));
	const element = form({ wide: true, submit: t('mailboxes.save'), send: async values => {
		const domains = account.domains.map(one => ({ name: one.name, mailboxes: Number(values[one.name]) }));
		const done = await confirm({ title: t('mailboxes.confirm'), text: t('mailboxes.confirm.text', { N: domains.reduce((sum, one) => sum + one.mailboxes, 0) }),
			verb: t('mailboxes.save'), danger: false, act: () => call('PUT', `${mine}/mailboxes`, { domains }) });
		if (done) again();
	} },
	account.domains.map(one => field({ name: one.name, label: one.name, type: 'number', min: 0, max: 1000000, required: true, value: String(one.mailboxes ?? 0), inputmode: 'numeric' })),
	h('p', {}, t('mailboxes.total'), ' ', total));
	element.addEventListener('input', () => {
		total.textContent = number(account.domains.reduce((sum, one) => sum + (Number(element.elements.namedItem(one.name).value) || 0), 0));
	});
	return h('section', { class: 'card' }, h('h2', {}, t('mailboxes')), h('p', { class: 'soft' }, t('mailboxes.text')), element);
}

export function page(ctx) {
	const mine = at('accounts', ctx.account);
	return { title: t('page.domains'), lead: t('domains.lead'), content: block(ctx, { label: t('page.domains'), every: 0, height: 320, load: signal => get(mine, signal),
		view: (account, again) => h('div', { class: 'stack wide' }, list(account, mine, again), mailboxes(account, mine, again)) }) };
}
