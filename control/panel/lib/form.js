// Forms: label above, help below, error at the field and in a summary that takes focus.
import { announce, fill, h, newId } from './dom.js';
import { Refusal } from './api.js';
import { icon } from './icons.js';
import { t } from './i18n.js';

export function field({ name, label, help, type = 'text', value = '', required, autocomplete, options, big, inputmode, maxlength, min, max, pattern, spellcheck }) {
	const id = newId(name), helpId = `${id}-help`, errorId = `${id}-error`;
	const props = { id, name, required, autocomplete, inputmode, maxlength, min, max, pattern, spellcheck,
		'aria-describedby': [help && helpId, errorId].filter(Boolean).join(' ') };
	const input = options
		? h('select', props, options.map(([key, word]) => h('option', { value: key }, word)))
		: h('input', { ...props, type });
	if (options || value !== '') input.value = value;
	return h('div', { class: big ? 'field big' : 'field' }, h('label', { for: id }, label), input,
		help && h('span', { class: 'help', id: helpId }, help), h('span', { class: 'error', id: errorId }));
}

// Tells a password manager whose password the form is about.
export const whose = (login = '') => h('input', { type: 'text', name: 'username', autocomplete: 'username', value: login, hidden: true, tabindex: '-1' });

export function choice({ name, legend, options, value }) {
	return h('fieldset', {}, h('legend', {}, legend), options.map(([key, word, more]) => {
		const id = newId(name);
		return h('div', { class: 'check' }, h('input', { type: 'radio', name, id, value: key, checked: key === value }),
			h('label', { for: id }, word, more && h('small', {}, more)));
	}));
}

export function checkbox({ name, label, help, checked }) {
	const id = newId(name);
	return h('div', { class: 'check' }, h('input', { type: 'checkbox', name, id, checked }),
		h('label', { for: id }, label, help && h('small', {}, help)));
}

function mark(form, name, text) {
	const input = name && form.elements.namedItem(name);
	const one = input instanceof RadioNodeList ? input[0] : input;
	const place = one?.closest('.field')?.querySelector('.error');
	if (!place) return false;
	one.setAttribute('aria-invalid', 'true');
	fill(place, icon('bad'), text);
	return true;
}

function clear(form, summary) {
	summary.hidden = true;
	for (const one of form.querySelectorAll('[aria-invalid]')) one.removeAttribute('aria-invalid');
	for (const one of form.querySelectorAll('.error')) one.textContent = '';
}

export function refusalText(refusal) {
	return refusal instanceof Refusal ? refusal.text : t('problem.other');
}

function missing(form) {
	const found = [];
	for (const one of form.elements)
		if (one.name && !one.checkValidity())
			found.push([one.name, one.validity.valueMissing ? t('form.missing') : one.validationMessage]);
	return found;
}

// A form whose `send(values)` is awaited; while it runs, a second submit does nothing. The server's `field` finds its input.
export function form({ send, submit, danger, cancel, wide, extra }, ...children) {
	const summary = h('div', { class: 'summary bad', tabindex: '-1', role: 'alert', hidden: true });
	const button = h('button', { type: 'submit', class: danger ? 'primary danger' : 'primary' }, submit);
	let busy = false;

	const show = (text, detail) => {
		fill(summary, h('p', {}, text), detail && h('p', { class: 'small' }, detail));
		summary.hidden = false;
		summary.focus();
	};
	const onSubmit = async event => {
		event.preventDefault();
		if (busy) return;
		clear(element, summary);
		const wrong = missing(element);
		for (const [name, text] of wrong) mark(element, name, text);
		if (wrong.length) {
			show(t('form.wrong', { N: wrong.length }));
			return;
		}
		busy = true;
		button.setAttribute('aria-disabled', 'true');
		try {
			await send(Object.fromEntries(new FormData(element)), element);
		} catch (refusal) {
			if (refusal.name === 'AbortError') return;
			if (!(refusal instanceof Refusal)) console.error(refusal);
			mark(element, refusal.field, refusalText(refusal));
			show(refusalText(refusal), refusal.message);
		} finally {
			busy = false;
			button.removeAttribute('aria-disabled');
		}
	};
	const element = h('form', { novalidate: true, onsubmit: onSubmit, class: wide && 'wide' }, summary, children,
		h('div', { class: 'row' }, button, cancel && h('button', { type: 'button', onclick: cancel }, t('cancel')), extra));
	return element;
}

// A dialog that asks before something is done. `act` may refuse; then the dialog stays and says why.
export function confirm({ title, text, verb, act, danger = true, fields = [] }) {
	return new Promise(resolve => {
		const close = done => { dialog.close(); dialog.remove(); resolve(done); };
		const inner = form({ submit: verb, danger, cancel: () => close(false), send: async values => { close(await act(values) ?? true); } },
			h('p', {}, text), fields);
		const dialog = h('dialog', { 'aria-labelledby': 'dialog-title', oncancel: () => close(false) },
			h('div', { class: 'stack' }, h('h2', { id: 'dialog-title' }, title), inner));
		document.body.append(dialog);
		dialog.showModal();
	});
}

// A dialog that shows something; closed by its button.
export function tell({ title, done }, ...children) {
	return new Promise(resolve => {
		const close = () => { dialog.close(); dialog.remove(); resolve(); };
		const dialog = h('dialog', { 'aria-labelledby': 'dialog-title', oncancel: close },
			h('div', { class: 'stack' }, h('h2', { id: 'dialog-title' }, title), children,
				h('div', { class: 'row' }, h('button', { class: 'primary', type: 'button', onclick: close }, done ?? t('close')))));
		document.body.append(dialog);
		dialog.showModal();
	});
}

// What a button does outside a form: once at a time, and a refusal is told.
export function doing(act) {
	let busy = false;
	return async event => {
		if (busy) return;
		busy = true;
		try {
			await act(event);
		} catch (refusal) {
			if (refusal.name === 'AbortError') return;
			if (!(refusal instanceof Refusal)) console.error(refusal);
			await tell({ title: t('broken.title') }, h('p', {}, refusalText(refusal)), refusal.message && h('p', { class: 'small soft' }, refusal.message));
		} finally {
			busy = false;
		}
	};
}

// A value with its button *Copy*.
export function copyable(value, label) {
	const button = h('button', { type: 'button', 'aria-label': t('copy.of', { WHAT: label ?? value }), onclick: async () => {
		try {
			await navigator.clipboard.writeText(value);
			fill(button, icon('ok'), t('copied'));
			announce(t('copied'));
		} catch {
			const range = document.createRange();
			range.selectNodeContents(code);
			getSelection().removeAllRanges();
			getSelection().addRange(range);
			announce(t('copy.select'));
		}
		setTimeout(() => fill(button, icon('copy'), t('copy')), 2500);
	} }, icon('copy'), t('copy'));
	const code = h('code', { class: 'value' }, value);
	return h('div', { class: 'copy' }, code, button);
}
