// Keys beside the mouse: "/" searches, "g" and a letter goes to a page, "j" "k" and Enter walk through rows, "?" lists them.
import { h } from './dom.js';
import { t } from './i18n.js';
import { tell } from './form.js';

const GO_MS = 1200;

export const keysAreOn = () => localStorage.getItem('keys') !== 'off';
export const setKeys = on => localStorage.setItem('keys', on ? 'on' : 'off');

const isField = element => element.closest('input, select, textarea, dialog, [contenteditable]') !== null;

function step(by) {
	const links = [...document.querySelectorAll('main tbody tr a[href]')]
		.filter((link, i, all) => i === 0 || all[i - 1].closest('tr') !== link.closest('tr'));
	const now = links.findIndex(link => link.closest('tr').contains(document.activeElement));
	links[Math.min(Math.max(now + by, 0), links.length - 1)]?.focus();
}

function search(go) {
	const input = document.querySelector('main input[type=search]');
	if (input) input.focus();
	else go('/messages');
}

export function listKeys(pages) {
	const row = (key, word) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, word)];
	return tell({ title: t('keys.title') }, h('dl', { class: 'facts' }, row('/', t('keys.search')),
		pages.map(([key, , word]) => row(`g ${key}`, word)), row('j k Enter', t('keys.rows')), row('?', t('keys.list')), row('Esc', t('close'))));
}

// `pages()` gives [key, path, word] of those that the reader has.
export function startKeys(go, pages) {
	let since = 0;

	document.addEventListener('keydown', event => {
		if (!keysAreOn() || event.ctrlKey || event.metaKey || event.altKey || isField(event.target)) return;
		const page = Date.now() - since < GO_MS && pages().find(([key]) => key === event.key);
		since = event.key === 'g' ? Date.now() : 0;
		if (page) go(page[1]);
		else if (event.key === '/') search(go);
		else if (event.key === 'j') step(1);
		else if (event.key === 'k') step(-1);
		else if (event.key === '?') listKeys(pages());
		else return;
		event.preventDefault();
	});
}
