// What is not delivered yet: how much, whose, where to, and what was said last.
import { h } from '../lib/dom.js';
import { call, get, query } from '../lib/api.js';
import { confirm, doing, field, form } from '../lib/form.js';
import { block, note } from '../lib/block.js';
import { mailState } from '../lib/mail.js';
import { table } from '../lib/table.js';
import { number, time } from '../lib/format.js';
import { has, t } from '../lib/i18n.js';

const PAGE = 100;
const FILTERS = ['account', 'site', 'provider', 'domain', 'credential', 'egress_ip', 'id'];
const states = { waiting: 'deferred', held: 'held', inbound: 'accepted', ready: 'accepted', attempting: 'accepted' };

// A command on all that the address of this page selects; the number is asked for first.
async function act(action, selector, again) {
	const wanted = { action, selector };
	const dry = await call('POST', 'rules', { ...wanted, dry_run: true });
	const done = await confirm({ title: t(`rule.${action}`), text: t(dry.exact ? 'rule.matched' : 'rule.matched.more', { N: dry.matched }), verb: t(`rule.${action}`), danger: action === 'bounce', act: () => call('POST', 'rules', wanted) });
	if (done) again();
}

function actions(asked, again) {
	const selector = { ...asked };
	delete selector.state;
	if (selector.domain) selector.recipient_domain = selector.domain;
	delete selector.domain;
	if (!Object.keys(selector).length) return h('p', { class: 'soft' }, t('op_queue.select'));
	return h('div', { class: 'row' }, ['retry', 'release', 'bounce'].map(one => h('button', { type: 'button', class: one === 'bounce' && 'danger', onclick: doing(() => act(one, selector, again)) }, t(`rule.${one}`))));
}

export function page(ctx) {
	const asked = Object.fromEntries([...FILTERS, 'state'].map(name => [name, ctx.query.get(name)]).filter(([, value]) => value));
	const filters = form({ submit: t('search'), send: async values => ctx.go(`/op/queue${query(values)}`) },
		['account', 'site', 'domain', 'credential'].map(name => field({ name, label: t(`filter.${name}`), value: asked[name] ?? '', spellcheck: 'false' })),
		field({ name: 'state', label: t('state'), value: asked.state ?? '', options: [['', t('all')], ...['inbound', 'ready', 'attempting', 'waiting', 'held'].map(one => [one, t(`queue.${one}`)])] }));
	filters.className = 'filters';
	const link = (name, value) => value ? h('a', { href: `/op/queue${query({ ...asked, [name]: value })}` }, value) : '–';

	return { title: t('page.op_queue'), lead: t('op_queue.lead'), content: [h('section', { class: 'card' }, filters),
		block(ctx, { label: t('page.op_queue'), every: 5, height: 400, load: signal => get(`queue${query({ ...asked, limit: PAGE })}`, signal), view: (found, again) => h('div', { class: 'stack wide' },
			h('div', { class: 'counts' }, ['inbound', 'ready', 'rows', 'bodies', 'bad'].map(key => h('div', { class: 'count' }, h('b', {}, number(found.queue?.[key] ?? 0)), h('span', {}, t(`queue.sum.${key}`))))),
			!found.in_hand_known && note('warn', h('p', {}, t('op_queue.unknown'))),
			h('section', { class: 'card' }, h('h2', {}, t('op_queue.rows', { N: found.total ?? found.rows.length })), actions(asked, again),
				found.rows.length === 0 ? note('ok', h('p', {}, t('op_queue.none'))) : table({ caption: t('op_queue.caption'), rows: found.rows, columns: [
					{ label: t('accepted'), cell: one => one.accepted ? time(one.accepted) : '–' }, { label: t('filter.account'), cell: one => one.account ? h('a', { href: `/op/accounts/${encodeURIComponent(one.account)}` }, one.account_name ?? one.account) : '–' },
					{ label: t('fromto'), head: true, cell: one => h('div', { class: 'tight' }, h('a', { href: `/op/messages/${one.id}` }, (one.to ?? []).slice(0, 2).join(', ') || one.id, (one.to?.length ?? 0) > 2 && ` ${t('mail.more', { N: one.to.length - 2 })}`),
						h('span', { class: 'small soft' }, one.from || t('from.null'))) },
					{ label: t('filter.site'), cell: one => link('site', one.site) }, { label: t('state'), cell: one => states[one.state] === 'accepted' ? t(`queue.${one.state}`) : mailState(states[one.state] ?? one.state) },
					{ label: t('op_queue.next'), cell: one => one.next_attempt ? time(one.next_attempt) : one.reason ?? '–' },
					{ label: t('op_queue.reply'), cell: one => h('div', { class: 'tight' }, one.last_class && h('span', {}, has(`class.${one.last_class}`) ? t(`class.${one.last_class}`) : one.last_class), one.last_reply && h('code', { class: 'small' }, one.last_reply), !one.last_reply && !one.last_class && (one.signature ?? '–')) }] }),
				found.next && h('p', { class: 'small soft' }, t('op_queue.cut', { N: PAGE })))) })] };
}
