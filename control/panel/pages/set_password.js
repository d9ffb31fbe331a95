// A new password, by the secret of a link. The secret stands in the fragment, and leaves the address bar at once.
import { h, fill } from '../lib/dom.js';
import { call, Refusal } from '../lib/api.js';
import { field, form, whose } from '../lib/form.js';
import { note } from '../lib/block.js';
import { t } from '../lib/i18n.js';

let secret = null;

export function page() {
	const given = new URLSearchParams(location.hash.slice(1)).get('t');
	if (given) {
		secret = given;
		history.replaceState(null, '', location.pathname);
	}
	const place = h('div', { class: 'card' });
	const expired = () => fill(place, note('bad', h('p', {}, t('password.expired')),
		h('p', {}, h('a', { class: 'button', href: '/forgot' }, t('password.newlink')))));

	if (!secret) expired();
	else fill(place, form({ submit: t('password.submit'), send: async ({ password, again }) => {
		if (password !== again) throw new Refusal(400, { type: 'password-differs', field: 'again' });
		try {
			await call('POST', 'password', { token: secret, password }, { quiet: true });
			secret = null;
			fill(place, note('ok', h('p', {}, t('password.done')), h('p', {}, h('a', { class: 'button primary', href: '/login' }, t('page.login')))));
		} catch (refusal) {
			if (refusal.status !== 410 && refusal.status !== 404) throw refusal;
			expired();
		}
	} },
	whose(), field({ name: 'password', label: t('password.new'), help: t('password.help'), type: 'password', required: true, autocomplete: 'new-password' }),
	field({ name: 'again', label: t('password.again'), type: 'password', required: true, autocomplete: 'new-password' })));
	return { title: t('page.set_password'), lead: t('password.lead'), content: place };
}
