// What became of my messages: one box, a period, a state. The desk's page is the same over all accounts.
import { h, fill } from '../lib/dom.js';
import { at, get, query } from '../lib/api.js';
import { field, form } from '../lib/form.js';
import { block, note } from '../lib/block.js';
import { causeText, mailState, recipients, worst } from '../lib/mail.js';
import { table } from '../lib/table.js';
import { timeText, time } from '../lib/format.js';
import { t } from '../lib/i18n.js';

const PAGE = 50;
const PERIODS = ['1h', '1d', '7d', '30d'];
const STATES = ['accepted', 'deferred', 'held', 'delivered', 'bounced', 'expired'];

// Which of the API's parameters the one box means.
function meaning(text) {
	if (!text) return {};
	if (/^[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(text)) return { id: text };
	if (/^<.*>$/.test(text) && text !== '<>') return { message_id: text };
	if (text.includes('@')) return { recipient: text };
	return { domain: text };
}

function columns(base) {
	return [
		{ label: t('time'), cell: one => time(one.at) },
		{ label: t('from'), cell: one => one.from === '' || one.from === null ? t('from.null') : one.from },
		{ label: t('to'), head: true, cell: one => h('a', { href: `${base}/${one.id}` }, recipients(one.to)) },
		{ label: t('state'), cell: one => mailState(worst(one.to).state) },
		{ label: t('cause'), cell: one => causeText(worst(one.to).class) },
	];
}

function csv(messages) {
	// A sign that a spreadsheet would take for a formula gets a quote before it.
	const quote = value => `"${String(value ?? '').replace(/^([=+\-@\t\r])/, "'$1").replaceAll('"', '""')}"`;
	const lines = messages.flatMap(one => one.to.map(to => [one.at, one.id, one.from, to.address, to.state, to.class, one.credential, one.size].map(quote).join(',')));
	return ['at,id,from,to,state,class,credential,size', ...lines].join('\r\n');
}

function empty(sender) {
	return note('info', h('p', {}, t('messages.none')), sender && h('p', {}, t('messages.none.more')), h('p', {}, h('a', { href: '/guides' }, t('page.guides'))));
}

export function page(ctx) {
	const path = ctx.desk ? '/op/messages' : '/messages', route = ctx.desk ? 'messages' : `${at('accounts', ctx.account)}/messages`;
	const given = Object.fromEntries(ctx.query);
	const text = given.q ?? given.recipient ?? given.domain ?? '', who = given.by ?? 'to';
	const wanted = meaning(text.trim());
	if (who === 'from' && wanted.recipient) {
		wanted.sender = wanted.recipient;
		delete wanted.recipient;
	}
	const asked = { ...wanted, state: given.state, class: given.class, account: ctx.desk ? given.account : undefined, since: wanted.id ? undefined : given.since ?? '7d', limit: PAGE };

	const filters = form({ submit: t('search'), send: async values => {
		ctx.go(path + query({ q: values.q.trim(), by: values.by === 'from' ? 'from' : '', since: values.since, state: values.state, account: given.account }));
	} },
	field({ name: 'q', type: 'search', label: t('messages.q'), help: t('messages.q.help'), value: text, big: true, spellcheck: 'false' }),
	field({ name: 'by', label: t('messages.by'), value: who, options: [['to', t('to')], ['from', t('from')]] }),
	field({ name: 'since', label: t('period'), value: given.since ?? '7d', options: PERIODS.map(one => [one, t(`period.${one}`)]) }),
	field({ name: 'state', label: t('state'), value: given.state ?? '', options: [['', t('all')], ...STATES.map(one => [one, t(`mail.${one}`)])] }));
	filters.className = 'filters';

	const show = found => {
		const all = [...found.messages];
		let { next } = found;
		const more = async () => {
			const further = await get(route + query({ ...asked, after: next }), ctx.signal);
			({ next } = further);
			all.push(...further.messages);
			return { rows: further.messages, last: !next };
		};
		return h('div', { class: 'stack' }, table({ caption: t('messages.caption', { WHEN: timeText(found.kept_since) }), rows: found.messages, columns: columns(path), more: next && more }),
			h('div', { class: 'row' }, h('button', { type: 'button', onclick: async () => (await import('../lib/dom.js')).save('messages.csv', csv(all)) }, t('csv'))));
	};
	return { title: t(ctx.desk ? 'page.op_messages' : 'page.messages'), lead: t(ctx.desk ? 'op_messages.lead' : 'messages.lead'), content: [h('section', { class: 'card' }, filters),
		h('section', { class: 'card' }, block(ctx, { label: t('page.messages'), every: text ? 0 : 60, height: 400, load: signal => get(route + query(asked), signal),
			isEmpty: found => found.messages.length === 0 && !found.next, empty: () => empty(!ctx.desk), view: show }))] };
}
