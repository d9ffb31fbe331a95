// Runs before the first paint, so that a chosen scheme never flashes.
try {
	const theme = localStorage.getItem('theme');
	if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
} catch {
	// Without storage the system's scheme holds.
}
