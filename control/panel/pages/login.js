// The login: address and password, then a code when the person has a second factor.
import { h, fill } from '../lib/dom.js';
import { call, Refusal } from '../lib/api.js';
import { field, form } from '../lib/form.js';
import { t } from '../lib/i18n.js';

// The forms one after the other in `place`; `done()` once the session is there.
function steps(place, done) {
	const code = () => {
		const element = form({ submit: t('login.verify'), send: async ({ code: text }) => {
			await call('POST', 'session/totp', { code: text.trim() }, { quiet: true });
			await done();
		} }, field({ name: 'code', label: t('login.code'), help: t('login.code.help'), required: true, autocomplete: 'one-time-code' }));
		fill(place, element);
		element.elements.code.focus();
	};
	const element = form({ submit: t('login.submit'), extra: h('a', { class: 'button plain', href: '/forgot' }, t('login.forgot')), send: async values => {
		try {
			const answer = await call('POST', 'session', { login: values.login.trim(), password: values.password }, { quiet: true });
			if (answer?.need) code();
			else await done();
		} catch (refusal) {
			if (refusal.status !== 401) throw refusal;
			throw Object.assign(new Refusal(401, { type: 'wrong-login' }));
		}
	} },
	field({ name: 'login', label: t('login.address'), type: 'text', inputmode: 'email', required: true, autocomplete: 'username', spellcheck: 'false' }),
	field({ name: 'password', label: t('login.password'), type: 'password', required: true, autocomplete: 'current-password' }));
	fill(place, element);
	return element;
}

export function loginDialog() {
	return new Promise(resolve => {
		const place = h('div', {});
		const dialog = h('dialog', { 'aria-labelledby': 'again', oncancel: event => event.preventDefault() },
			h('div', { class: 'stack' }, h('h2', { id: 'again' }, t('login.again')), h('p', {}, t('login.kept')), place));
		document.body.append(dialog);
		const element = steps(place, () => { dialog.close(); dialog.remove(); resolve(); });
		dialog.showModal();
		element.elements.login.focus();
	});
}

export async function page(ctx) {
	const { loggedIn } = await import('../main.js');
	const place = h('div', {});
	steps(place, () => loggedIn(ctx.query.get('to')));
	return { title: t('page.login'), lead: t('login.lead'), content: h('div', { class: 'card' }, place) };
}
