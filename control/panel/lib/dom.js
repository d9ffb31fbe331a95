// Elements from text: what is given as a string becomes a text node, never markup.

const OWN = /^(\/(?![/\\])|#|https:\/\/|mailto:)/;

// Links lead to paths of our own, to https:, or to a mailbox; any other address stays out.
export function safeLink(address) {
	return OWN.test(address) ? address : null;
}

function put(element, name, value) {
	if (value === null || value === undefined || value === false) return;
	if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
	else if (name === 'href') {
		const address = safeLink(String(value));
		if (address) element.setAttribute('href', address);
	} else if (name === 'value') element.value = value;
	else if (name === 'checked' || name === 'disabled' || name === 'open' || name === 'indeterminate')
		element[name] = Boolean(value);
	else element.setAttribute(name, value === true ? '' : String(value));
}

function add(element, child) {
	if (Array.isArray(child)) child.forEach(one => add(element, one));
	else if (child !== null && child !== undefined && child !== false)
		element.append(child instanceof Node ? child : String(child));
}

// h('a', { href: '/x' }, 'text', otherElement): an element. Children may be lists; null and false are left out.
export function h(tag, props, ...children) {
	const element = document.createElement(tag);
	for (const [name, value] of Object.entries(props ?? {})) put(element, name, value);
	add(element, children);
	return element;
}

export function fill(element, ...children) {
	const fresh = document.createDocumentFragment();
	add(fresh, children);
	element.replaceChildren(fresh);
	return element;
}

// The one live region that screen readers hear.
export function announce(text) {
	const region = document.getElementById('live');
	if (!region) return;
	region.textContent = '';
	setTimeout(() => { region.textContent = text; }, 50);
	setTimeout(() => { if (region.textContent === text) region.textContent = ''; }, 4000);
}

let ids = 0;
export const newId = stem => `${stem}-${++ids}`;

// Gives a file to the browser's downloads.
export function save(name, text) {
	const address = URL.createObjectURL(new Blob([text], { type: 'text/plain;charset=utf-8' }));
	const link = document.createElement('a');
	link.download = name;
	link.href = address;
	link.click();
	setTimeout(() => URL.revokeObjectURL(address), 10000);
}
