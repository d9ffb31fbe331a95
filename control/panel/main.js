// The frame and the router: who is logged in, what they may open, which page the path means.
import { announce, fill, h } from './lib/dom.js';
import { call, get, onSessionLost, onSudo, session } from './lib/api.js';
import { language, setLanguage, t } from './lib/i18n.js';
import { icon } from './lib/icons.js';
import { listKeys, startKeys } from './lib/keys.js';
import { note } from './lib/block.js';

// path, module in pages/, who may see it: "anyone", a customer's page ("account") or an operator's ("operator").
const routes = [
	['/login', 'login', 'anyone'], ['/forgot', 'forgot', 'anyone'], ['/set-password', 'set_password', 'anyone'],
	['/p/{token}', 'proof', 'anyone'], ['/status', 'status', 'anyone'],
	['/', 'overview', 'account'], ['/messages', 'messages', 'account'], ['/messages/{id}', 'message', 'account'],
	['/connection', 'connection', 'account'], ['/guides', 'guides', 'account'], ['/guides/{server}', 'guide', 'account'],
	['/domains', 'domains', 'account'], ['/domains/{domain}', 'domain', 'account'],
	['/integrations', 'integrations', 'account'], ['/me', 'me', 'person'],
	['/op', 'op_accounts', 'operator'], ['/op/accounts', 'op_accounts', 'operator'], ['/op/accounts/{account}', 'op_account', 'operator'],
	['/op/queue', 'op_queue', 'operator'], ['/op/messages', 'messages', 'operator'], ['/op/messages/{id}', 'message', 'operator'],
	['/op/open', 'op_open', 'operator'],
].map(([path, module, who]) => ({ path, module, who,
	pattern: new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}/?$`) }));

const customerNav = [
	['nav.mail', [['/', 'home', 'overview', 'p'], ['/messages', 'mail', 'messages', 'm']]],
	['nav.configuration', [['/connection', 'plug', 'connection', 'c'], ['/guides', 'book', 'guides', 'i'], ['/domains', 'globe', 'domains', 'd']]],
	['nav.account', [['/integrations', 'key', 'integrations', 'a']]],
];
const operatorNav = [
	['nav.desk', [['/op/accounts', 'people', 'op_accounts', 'p'], ['/op/messages', 'mail', 'op_messages', 'm'],
		['/op/queue', 'queue', 'op_queue', 'c'], ['/op/open', 'flag', 'op_open', 'd']]],
];

const app = document.getElementById('app');
let service = { name: null, support: '' };
let leaving = new AbortController();
let accountShown = null;

const entered = () => session.operator ? sessionStorage.getItem('entered') : null;
const accountOf = () => session.account ?? entered();

export function enter(account) {
	if (account) sessionStorage.setItem('entered', account);
	else sessionStorage.removeItem('entered');
	accountShown = null;
	go(account ? '/' : '/op/accounts');
}

export function go(path, { replace } = {}) {
	history[replace ? 'replaceState' : 'pushState'](null, '', path);
	show();
}

// Only paths of our own are gone to after the login.
const ownPath = path => (/^\/(?![/\\])/.test(path ?? '') ? path : '/');

function startOf() {
	return session.operator && !entered() ? '/op/accounts' : '/';
}

// Who is logged in; null: nobody.
async function readSession() {
	// The cookie cannot be seen from here; whoever never logged in with this browser is not asked for.
	if (!localStorage.getItem('known')) return null;
	try {
		Object.assign(session, await get('session', undefined, { quiet: true }));
		session.role = session.person?.role;
		return session;
	} catch (failure) {
		session.person = null;
		if (failure.status !== 401) throw failure;
		localStorage.removeItem('known');
		return null;
	}
}

export async function loggedIn(to) {
	localStorage.setItem('known', 'yes');
	await readSession();
	go(to && to !== '/' ? ownPath(to) : startOf(), { replace: true });
}

async function logOut() {
	await call('DELETE', 'session', undefined, { quiet: true }).catch(() => {});
	sessionStorage.removeItem('entered');
	localStorage.removeItem('known');
	session.person = null;
	session.csrf = null;
	go('/login');
}

// Frame

function themeButton() {
	const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark';
	const button = h('button', { type: 'button', class: 'plain icon-button', onclick: () => {
		const theme = isDark() ? 'light' : 'dark';
		document.documentElement.dataset.theme = theme;
		localStorage.setItem('theme', theme);
		draw();
	} });
	const draw = () => {
		const word = t(isDark() ? 'theme.light' : 'theme.dark');
		fill(button, icon(isDark() ? 'sun' : 'moon'), h('span', { class: 'unseen' }, word));
	};
	draw();
	return button;
}

function languageButton() {
	const other = language === 'it' ? 'en' : 'it';
	return h('button', { type: 'button', class: 'plain icon-button', lang: other, onclick: () => setLanguage(other) },
		h('span', { 'aria-hidden': 'true' }, other.toUpperCase()), h('span', { class: 'unseen' }, other === 'it' ? 'Italiano' : 'English'));
}

function navigation(current) {
	const groups = session.operator && !entered() ? operatorNav : customerNav;
	const isCurrent = path => path === '/' ? current === '/' : current === path || current.startsWith(`${path}/`);
	return h('nav', { class: 'nav', id: 'nav', 'aria-label': t('nav') }, groups.map(([title, links]) => [
		h('h2', {}, t(title)),
		h('ul', {}, links.map(([path, picture, key]) => h('li', {},
			h('a', { href: path, 'aria-current': isCurrent(path) && 'page' }, icon(picture), t(`page.${key}`))))),
	]));
}

function pageKeys() {
	return (session.operator && !entered() ? operatorNav : customerNav)
		.flatMap(([, links]) => links.map(([path, , key, letter]) => [letter, path, t(`page.${key}`)]));
}

function topBar(nav) {
	const menu = nav && h('button', { type: 'button', class: 'plain menu-button', 'aria-expanded': 'false', 'aria-controls': 'nav', onclick: () => {
		const open = nav.classList.toggle('open');
		menu.setAttribute('aria-expanded', String(open));
	} }, icon('menu'), h('span', { class: 'word' }, t('menu')));
	if (menu) menu.setAttribute('aria-label', t('menu'));
	return h('header', { class: 'top' }, h('div', { class: 'top-in' }, menu,
		h('a', { class: 'brand', href: startOf() }, h('img', { src: '/icon.svg', alt: '', width: 28, height: 28 }), h('span', {}, service.name ?? 'Shout')),
		session.person && h('div', { class: 'who', id: 'who' }),
		h('div', { class: 'tools' }, languageButton(), themeButton(),
			session.person && [h('a', { class: 'button plain icon-button', href: '/me', 'aria-label': t('page.me') }, icon('people'), h('span', { class: 'word' }, t('me.short'))),
				h('button', { type: 'button', class: 'plain icon-button', 'aria-label': t('logout'), onclick: logOut }, icon('out'), h('span', { class: 'word' }, t('logout')))])));
}

function asBar() {
	const account = entered();
	return account && h('div', { class: 'as', role: 'region', 'aria-label': t('as.region') }, h('div', {}, icon('people'),
		h('span', { class: 'grow', id: 'as-name' }, t('as', { ACCOUNT: account })),
		h('button', { type: 'button', onclick: () => enter(null) }, t('as.leave'))));
}

function footer() {
	return h('footer', { class: 'foot' }, h('div', {},
		service.support && h('span', {}, t('support'), ' ', h('a', { href: `mailto:${service.support}` }, service.support)),
		h('a', { href: '/help', 'data-plain': true }, t('help')), h('a', { href: '/status' }, t('page.status')),
		session.person && h('button', { type: 'button', class: 'plain small', onclick: () => listKeys(pageKeys()) }, t('keys.title'))));
}

// The account's name and status stand in the top bar, once they are known.
export const kinds = { active: 'ok', pending: 'warn', slowed: 'warn', review: 'hold', disabled: 'bad', suspended: 'bad', closed: 'off', deleted: 'off' };
export function showAccount(account) {
	accountShown = account;
	const place = document.getElementById('who');
	if (!place) return;
	const kind = kinds[account.status] ?? 'off';
	fill(place, h('b', { title: account.name }, account.name), h('span', { class: `state ${kind}` }, icon(kind), t(`status.${account.status}`)));
	const as = document.getElementById('as-name');
	if (as) as.textContent = t('as', { ACCOUNT: account.name });
}

async function readAccount(ctx) {
	if (accountShown?.id === ctx.account) showAccount(accountShown);
	const account = await get(`accounts/${encodeURIComponent(ctx.account)}`, ctx.signal);
	if (!ctx.signal.aborted) showAccount(account);
	return account;
}

// Pages

function title(ctx, text) {
	document.title = [text, accountShown?.name, service.name ?? 'Shout'].filter(Boolean).join(' · ');
	return text;
}

function failure(heading, text, ...more) {
	return h('div', { class: 'page' }, h('div', { class: 'lead' }, h('h1', { tabindex: '-1' }, heading), h('p', {}, text)), more);
}

function find(path) {
	for (const route of routes) {
		const match = path.match(route.pattern);
		if (!match) continue;
		const params = {};
		try {
			for (const [name, value] of Object.entries(match.groups ?? {})) params[name] = decodeURIComponent(value);
		} catch {
			return null;
		}
		return { route, params };
	}
	return null;
}

async function pageOf(found, ctx) {
	if (!found) return failure(title(ctx, t('nopage.title')), t('nopage.text'), h('p', {}, h('a', { href: startOf() }, t('nopage.home'))));
	if (found.route.who === 'operator' && !session.operator)
		return failure(title(ctx, t('noright.title')), t('noright.operator'), h('p', {}, h('a', { href: '/' }, t('nopage.home'))));
	if (found.route.who === 'account' && !ctx.account) {
		go('/op/accounts', { replace: true });
		return null;
	}
	const module = await import(`./pages/${found.route.module}.js`);
	const made = await module.page(ctx);
	title(ctx, made.title);
	return h('div', { class: 'page' },
		h('div', { class: 'lead' }, made.crumb && h('p', { class: 'crumb' }, made.crumb),
			h('div', { class: 'row apart' }, h('h1', { tabindex: '-1' }, made.title), made.action), made.lead && h('p', {}, made.lead)),
		made.content);
}

function layout(path, page, withNav) {
	const nav = withNav && navigation(path);
	const main = h('main', { id: 'main' }, page);
	fill(app, h('a', { class: 'skip', href: '#main', onclick: event => { event.preventDefault(); document.querySelector('h1')?.focus(); } }, t('skip')),
		h('div', { class: 'shell' }, topBar(nav), withNav && asBar(), h('div', { class: 'body' }, nav, main), footer()));
	return main;
}

let first = true;
async function show() {
	leaving.abort();
	leaving = new AbortController();
	const { signal } = leaving, path = location.pathname, found = find(path);
	const open = found?.route.who === 'anyone';
	const ctx = { signal, params: found?.params ?? {}, query: new URLSearchParams(location.search), path, service, session,
		account: accountOf(), operator: Boolean(session.operator), desk: path.startsWith('/op'), go, enter,
		readAccount: () => readAccount(ctx) };

	if (!open && !session.person) {
		go(`/login?to=${encodeURIComponent(path + location.search)}`, { replace: true });
		return;
	}
	const withNav = Boolean(session.person) && !open;
	const main = layout(path, [h('div', { class: 'page' })], withNav);
	if (withNav && ctx.account && !ctx.desk) {
		if (accountShown?.id === ctx.account) showAccount(accountShown);
		else readAccount(ctx).catch(() => {});
	}
	try {
		const page = await pageOf(found, ctx);
		if (signal.aborted || !page) return;
		fill(main, page);
	} catch (problem) {
		if (signal.aborted) return;
		if (problem.status === undefined) console.error(problem);
		fill(main, failure(title(ctx, t('broken.title')), problem.text ?? t('problem.other'),
			note('bad', h('p', {}, problem.message), h('div', { class: 'row' }, h('button', { type: 'button', onclick: show }, t('retry'))))));
	}
	if (!first) {
		scrollTo(0, 0);
		main.querySelector('h1')?.focus();
		announce(document.title);
	}
	first = false;
}

// Links of the panel change the page without loading it anew.
document.addEventListener('click', event => {
	const link = event.target.closest?.('a[href]');
	if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
	const to = new URL(link.href);
	if (to.origin !== location.origin || link.dataset.plain !== undefined || link.getAttribute('href').startsWith('#') || link.target) return;
	event.preventDefault();
	go(to.pathname + to.search + to.hash);
});
addEventListener('popstate', show);

onSessionLost(async () => {
	const { loginDialog } = await import('./pages/login.js');
	await loginDialog();
	localStorage.setItem('known', 'yes');
	await readSession();
});

onSudo(async () => {
	const { sudo } = await import('./pages/login.js');
	return sudo();
});

async function start() {
	document.documentElement.lang = language;
	document.body.append(h('div', { id: 'live', class: 'unseen', role: 'status', 'aria-live': 'polite' }));
	startKeys(go, pageKeys);
	const [known] = await Promise.all([readSession().catch(failed => failed),
		get('service', undefined, { quiet: true }).then(value => { service = value; }, () => {})]);
	if (known instanceof Error) {
		fill(app, h('main', { id: 'main' }, failure(t('broken.title'), known.text ?? t('problem.other'),
			h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => location.reload() }, t('retry'))))));
		return;
	}
	await show();
}
start();
