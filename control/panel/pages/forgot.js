// A link for a new password; the answer is the same whether or not the address is known.
import { h, fill } from '../lib/dom.js';
import { call } from '../lib/api.js';
import { field, form } from '../lib/form.js';
import { note } from '../lib/block.js';
import { t } from '../lib/i18n.js';

export function page(ctx) {
	const place = h('div', { class: 'card' });
	fill(place, form({ submit: t('forgot.submit'), send: async ({ login }) => {
		await call('POST', 'password-reset', { login: login.trim() }, { quiet: true });
		fill(place, note('info', h('p', { tabindex: '-1' }, t('forgot.sent')), h('p', {}, h('a', { href: '/login' }, t('page.login')))));
	} }, field({ name: 'login', label: t('login.address'), inputmode: 'email', required: true, autocomplete: 'username', spellcheck: 'false' })));
	return { title: t('page.forgot'), lead: t('forgot.lead', { SUPPORT: ctx.service.support }), content: place };
}
