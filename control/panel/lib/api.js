// The one way to the API: own origin, CSRF token, refusals as one kind of error.
import { has, t } from './i18n.js';

export const session = { person: null, csrf: null };
const hooks = { lost: null, sudo: null };
export const onSessionLost = ask => { hooks.lost = ask; };
// `ask()` proves anew who is there, and gives false when it was called off.
export const onSudo = ask => { hooks.sudo = ask; };

// Whether what is asked now is asked by the page itself, not by somebody who does something.
export const background = { on: false };

export class Refusal extends Error {
	constructor(status, problem) {
		super(problem.detail ?? problem.error ?? '');
		this.status = status;
		this.kind = String(problem.type ?? '').replace('/problems/', '');
		this.field = problem.field ?? null;
		this.reference = problem.instance ?? '';
		this.wait = 0;
	}

	// What the reader is told; `message` is the server's own text, for the fold.
	get text() {
		if (has(`problem.${this.kind}`)) return t(`problem.${this.kind}`);
		if (this.status === 429 && this.wait) return t('problem.wait', { S: this.wait });
		return has(`problem.${this.status}`) ? t(`problem.${this.status}`) : t('problem.other');
	}
}

async function problemOf(reply) {
	try {
		return await reply.json();
	} catch {
		return {};
	}
}

async function ask(method, path, body, options) {
	const headers = { Accept: 'application/json' };
	if (body !== undefined) headers['Content-Type'] = 'application/json';
	if (method !== 'GET' && session.csrf) headers['X-CSRF-Token'] = session.csrf;
	if (background.on && method === 'GET') headers['X-Shout-Background'] = 'true'; // keeps no session alive
	if (options.version) headers['If-Match'] = options.version;
	try {
		return await fetch(path.startsWith('/') ? path : `/api/v1/${path}`, { method, headers, signal: options.signal,
			credentials: 'same-origin', body: body === undefined ? undefined : JSON.stringify(body) });
	} catch (failure) {
		if (failure.name === 'AbortError') throw failure;
		throw new Refusal(0, { type: 'network' });
	}
}

// A lost session asks for the login over the page, then goes on; `options.quiet` leaves a 401 to the caller.
export async function call(method, path, body, options = {}) {
	let reply = await ask(method, path, body, options);
	if (reply.status === 401 && !options.quiet && hooks.lost) {
		await hooks.lost();
		reply = await ask(method, path, body, options);
	}
	if (!reply.ok) {
		const refusal = new Refusal(reply.status, await problemOf(reply));
		if (refusal.kind === 'sudo' && hooks.sudo && await hooks.sudo()) return call(method, path, body, options);
		refusal.wait = Number(reply.headers.get('Retry-After')) || 0;
		throw refusal;
	}
	if (reply.status === 204) return null;
	const value = await reply.json();
	if (options.withVersion) value.version = reply.headers.get('ETag');
	return value;
}

export const get = (path, signal, options) => call('GET', path, undefined, { signal, ...options });

// A path of segments that may hold any sign: at('accounts', id, 'domains', name).
export const at = (...segments) => segments.map(one => encodeURIComponent(one)).join('/');

// "?a=b&c=d" of what has a value.
export function query(values) {
	const words = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== '');
	return words.length ? `?${new URLSearchParams(words)}` : '';
}
