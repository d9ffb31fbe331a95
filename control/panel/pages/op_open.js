// Accepted messages that have no end yet, the oldest first.
import { h } from '../lib/dom.js';
import { get, query } from '../lib/api.js';
import { field, form } from '../lib/form.js';
import { block, note } from '../lib/block.js';
import { mailState, recipients, worst } from '../lib/mail.js';
import { table } from '../lib/table.js';
import { ago, time } from '../lib/format.js';
import { t } from '../lib/i18n.js';

export function page(ctx) {
	const older = ctx.query.get('older') ?? '', account = ctx.query.get('account') ?? '';
	const filters = form({ submit: t('search'), send: async values => ctx.go(`/op/open${query(values)}`) },
		field({ name: 'older', label: t('open.older'), value: older, options: [['', t('open.overdue')], ['1h', t('period.1h')], ['6h', t('period.6h')], ['1d', t('period.1d')]] }),
		field({ name: 'account', label: t('filter.account'), value: account, spellcheck: 'false' }));
	filters.className = 'filters';
	return { title: t('page.op_open'), lead: t('op_open.lead'), content: [h('section', { class: 'card' }, filters), h('section', { class: 'card' },
		block(ctx, { label: t('page.op_open'), every: 60, height: 200, load: signal => get(`open${query({ older, account })}`, signal), isEmpty: found => found.messages.length === 0,
			empty: () => note('ok', h('p', {}, t(older ? 'open.none' : 'open.none.overdue'))), view: found => table({ caption: t('open.caption'), rows: found.messages, columns: [
				{ label: t('accepted'), cell: one => h('div', { class: 'tight' }, time(one.at), h('span', { class: 'small soft' }, ago(one.at))) },
				{ label: t('filter.account'), cell: one => one.account ? h('a', { href: `/op/accounts/${encodeURIComponent(one.account)}` }, one.account) : '–' }, { label: t('from'), cell: one => one.from || t('from.null') },
				{ label: t('to'), head: true, cell: one => h('a', { href: `/op/messages/${one.id}` }, recipients(one.to)) }, { label: t('state'), cell: one => mailState(worst(one.to).state) }] }) }))] };
}
