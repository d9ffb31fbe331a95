// What a person says about itself: language, look, keys, password and second factor.
import { h, fill } from '../lib/dom.js';
import { call, get, Refusal } from '../lib/api.js';
import { checkbox, choice, confirm, copyable, doing, field, form, tell, whose } from '../lib/form.js';
import { block, note, state } from '../lib/block.js';
import { table } from '../lib/table.js';
import { time } from '../lib/format.js';
import { language, setLanguage, t } from '../lib/i18n.js';
import { keysAreOn, setKeys } from '../lib/keys.js';

function look() {
	const element = h('form', { onchange: event => {
		const { name, value, checked } = event.target;
		if (name === 'keys') setKeys(checked);
		else if (name === 'language') call('PATCH', 'me', { language: value }).then(() => setLanguage(value), () => setLanguage(value));
		else if (value === 'system') {
			localStorage.removeItem('theme');
			delete document.documentElement.dataset.theme;
		} else {
			localStorage.setItem('theme', value);
			document.documentElement.dataset.theme = value;
		}
	} },
	choice({ name: 'language', legend: t('me.language'), value: language, options: [['it', 'Italiano'], ['en', 'English']] }),
	choice({ name: 'theme', legend: t('me.theme'), value: localStorage.getItem('theme') ?? 'system',
		options: [['system', t('theme.system')], ['light', t('theme.light')], ['dark', t('theme.dark')]] }),
	checkbox({ name: 'keys', label: t('me.keys'), help: t('me.keys.help'), checked: keysAreOn() }));
	return h('section', { class: 'card' }, h('h2', {}, t('me.look')), element);
}

function password(ctx) {
	const place = h('section', { class: 'card' });
	const change = form({ submit: t('password.submit'), send: async ({ current, password: fresh, again }) => {
		if (fresh !== again) throw new Refusal(400, { type: 'password-differs', field: 'again' });
		const answer = await call('PATCH', 'me', { current, password: fresh });
		if (answer?.csrf) Object.assign(ctx.session, answer);
		fill(place, h('h2', {}, t('me.password')), note('ok', h('p', {}, t('password.done'))));
	} },
	whose(ctx.session.person.login), field({ name: 'current', label: t('password.current'), type: 'password', required: true, autocomplete: 'current-password' }),
	field({ name: 'password', label: t('password.new'), help: t('password.help'), type: 'password', required: true, autocomplete: 'new-password' }),
	field({ name: 'again', label: t('password.again'), type: 'password', required: true, autocomplete: 'new-password' }));
	return fill(place, h('h2', {}, t('me.password')), h('p', { class: 'soft' }, t('me.password.text')), change);
}

async function addFactor(again) {
	const { secret, uri } = await call('POST', 'me/totp');
	const done = await confirm({ title: t('me.factor.add'), text: t('me.factor.how'), verb: t('me.factor.confirm'), danger: false,
		fields: [copyable(secret, t('me.factor.secret')), h('details', {}, h('summary', {}, t('me.factor.uri')), h('div', {}, copyable(uri, 'otpauth'))),
			field({ name: 'code', label: t('login.code'), required: true, autocomplete: 'one-time-code', inputmode: 'numeric' })],
		act: ({ code }) => call('POST', 'me/totp/confirm', { code: code.trim() }) });
	if (done?.recovery) await tell({ title: t('me.recovery'), done: t('saved.it') }, h('p', {}, t('me.recovery.text')),
		copyable(done.recovery.join('\n'), t('me.recovery')));
	again();
}

function factor(ctx) {
	return h('section', { class: 'card' }, h('h2', {}, t('me.factor')), h('p', {}, t('me.factor.text')), block(ctx, {
		label: t('me.factor'), every: 0, height: 44, load: signal => get('session', signal), view: ({ person }, again) => person.totp
			? h('div', { class: 'row' }, state('ok', t('me.factor.on')), h('button', { type: 'button', class: 'danger', onclick: async () => {
				if (await confirm({ title: t('me.factor.off'), text: t('me.factor.off.text'), verb: t('me.factor.off'), act: () => call('DELETE', 'me/totp') })) again();
			} }, t('me.factor.off')))
			: h('div', { class: 'row' }, state('off', t('me.factor.none')), h('button', { type: 'button', onclick: doing(() => addFactor(again)) }, t('me.factor.add'))) }));
}

function sessions(ctx) {
	return h('section', { class: 'card' }, h('h2', {}, t('me.sessions')), block(ctx, { label: t('me.sessions'), every: 60, height: 80,
		load: signal => get('me/sessions', signal), view: ({ sessions: list }, again) => [
			table({ caption: t('me.sessions.caption'), rows: list, columns: [
				{ label: t('address'), head: true, cell: one => h('div', { class: 'tight' }, h('code', {}, one.client), h('span', { class: 'small soft' }, /(Firefox|Edg|Chrome|Safari)\/\d+/.exec(one.agent)?.[0].replace('/', ' ').replace('Edg ', 'Edge ') ?? one.agent.slice(0, 40))) },
				{ label: t('me.since'), cell: one => time(one.created) },
				{ label: t('me.used'), cell: one => time(one.used) },
				{ label: t('me.this'), cell: one => one.current ? state('ok', t('me.this.one')) : '–' }] }),
			list.length > 1 && h('div', { class: 'row' }, h('button', { type: 'button', class: 'danger', onclick: doing(async () => { await call('DELETE', 'me/sessions'); again(); }) }, t('me.sessions.end')))] }));
}

export function page(ctx) {
	return { title: t('page.me'), lead: t('me.lead', { LOGIN: ctx.session.person.login ?? '' }),
		content: [look(), password(ctx), factor(ctx), sessions(ctx)] };
}
