// Texts by key, in the language that the server chose for /text.js.
import text, { language } from '/text.js';

export { language };
export const locale = language === 'it' ? 'it-IT' : 'en-GB';

const plurals = new Intl.PluralRules(locale);

export const has = key => key in text;

// The text with {NAMES} filled in. With a number `N`, a key of two forms, "a|b", gives the one that fits.
export function t(key, values = {}) {
	let found = text[key];
	if (found === undefined) return key;
	if (typeof values.N === 'number' && found.includes('|')) {
		const [one, other] = found.split('|');
		found = plurals.select(values.N) === 'one' ? one : other;
	}
	return found.replace(/\{([A-Z]+)\}/g, (whole, name) =>
		values[name] === undefined ? whole
			: typeof values[name] === 'number' ? values[name].toLocaleString(locale) : String(values[name]));
}

// Text with elements in the place of {NAMES}: a list of nodes and strings.
export function parts(key, values) {
	return t(key).split(/(\{[A-Z]+\})/).map(one => values[one.slice(1, -1)] ?? one);
}

export function setLanguage(to) {
	document.cookie = `language=${to}; path=/; max-age=31536000; SameSite=Strict${location.protocol === 'https:' ? '; Secure' : ''}`;
	location.reload();
}
