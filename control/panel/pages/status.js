// What anybody may know of the service: whether the panel's server answers, and whom to ask.
import { h } from '../lib/dom.js';
import { get } from '../lib/api.js';
import { block, state } from '../lib/block.js';
import { time } from '../lib/format.js';
import { t } from '../lib/i18n.js';

export function page(ctx) {
	return { title: t('page.status'), lead: t('status.lead'), content: h('section', { class: 'card' },
		block(ctx, { label: t('page.status'), every: 60, height: 80, load: async signal => ({ ...await get('ip', signal, { quiet: true }), at: Date.now() }),
			view: ({ at, address }) => h('dl', { class: 'facts' },
				h('dt', {}, t('status.panel')), h('dd', {}, state('ok', t('status.answers')), ' ', time(at)),
				h('dt', {}, t('status.mail')), h('dd', {}, t('status.mail.text')),
				h('dt', {}, t('status.you')), h('dd', {}, h('code', {}, address)),
				ctx.service.support && [h('dt', {}, t('support')), h('dd', {}, h('a', { href: `mailto:${ctx.service.support}` }, ctx.service.support))]) })) };
}
