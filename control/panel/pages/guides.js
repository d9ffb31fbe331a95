// Which server do you have? A guide for each, with the account's own values.
import { h } from '../lib/dom.js';
import { language, t } from '../lib/i18n.js';

export async function page(ctx) {
	const { guides } = await import(`../guides/${language}.js`);
	const user = ctx.query.get('user');
	const link = id => `/guides/${id}${user ? `?user=${encodeURIComponent(user)}` : ''}`;
	const groups = [...new Set(Object.values(guides).map(one => one.group))];
	return { title: t('page.guides'), lead: t('guides.lead'), content: groups.map(group => h('section', { class: 'stack' }, h('h2', {}, t(`guides.${group}`)),
		h('ul', { class: 'picks' }, Object.entries(guides).filter(([, one]) => one.group === group).map(([id, one]) =>
			h('li', {}, h('a', { href: link(id) }, h('b', {}, one.name), h('span', {}, one.short))))))) };
}
