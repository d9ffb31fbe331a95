// The login: address and password, then a code when the person has a second factor.
import { h, fill } from '../lib/dom.js';
import { call, Refusal, session } from '../lib/api.js';
import { confirm, field, form, whose } from '../lib/form.js';
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
			session.csrf = answer.csrf;
			if (answer.need) code();
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

// Proves anew who is there, for what changes secrets, people and tokens. False: it was called off.
export function sudo() {
	return confirm({ title: t('sudo.title'), text: t('sudo.text'), verb: t('sudo.verb'), danger: false, fields: session.person?.totp
		? [field({ name: 'code', label: t('login.code'), help: t('login.code.help'), required: true, autocomplete: 'one-time-code' })]
		: [whose(session.person?.login), field({ name: 'password', label: t('login.password'), type: 'password', required: true, autocomplete: 'current-password' })],
	act: async ({ code, password }) => {
		try {
			await call('POST', 'session/sudo', code ? { code: code.trim() } : { password }, { quiet: true });
		} catch (refusal) {
			throw refusal.status === 401 || refusal.status === 403 ? Object.assign(new Refusal(401, { type: 'wrong-login', field: code ? 'code' : 'password' })) : refusal;
		}
		return true;
	} });
}

export async function page(ctx) {
	const { loggedIn } = await import('../main.js');
	const place = h('div', {});
	steps(place, () => loggedIn(ctx.query.get('to')));
	return { title: t('page.login'), lead: t('login.lead'), content: h('div', { class: 'card' }, place) };
}
