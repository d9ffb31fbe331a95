// Guide in italiano. {HOST}, {USER} e {PASSWORD} sono i valori dell'account; `mode` limita un passo a una modalità di accesso.
export const guides = {
	exchange: { name: 'Exchange Server 2013–2019, SE', group: 'servers', short: 'Connettore di invio, con PowerShell o dal centro di amministrazione',
		rights: 'Gestione organizzazione', time: '10 minuti', undo: 'Disattiva il connettore nuovo e riattiva quello di prima.', steps: [
			{ title: 'Apri Exchange Management Shell', text: 'Come amministratore, sul server che invia la posta.' },
			{ title: 'Crea il connettore', mode: 'credentials', text: 'Alla richiesta scrivi il nome utente {USER} e la sua password.', file: 'shout.ps1',
				code: "New-SendConnector -Name Shout -AddressSpaces '*' -SmartHosts {HOST} -DNSRoutingEnabled $false -Port 587 -RequireTLS $true -TlsAuthLevel DomainValidation -TlsDomain {HOST} -SmartHostAuthMechanism BasicAuthRequireTLS -AuthenticationCredential (Get-Credential {USER})" },
			{ title: 'Crea il connettore', mode: 'ip', text: 'In modalità IP pubblico non servono credenziali.', file: 'shout.ps1',
				code: "New-SendConnector -Name Shout -AddressSpaces '*' -SmartHosts {HOST} -DNSRoutingEnabled $false -Port 587 -RequireTLS $true -TlsAuthLevel DomainValidation -TlsDomain {HOST} -SmartHostAuthMechanism None" },
			{ title: 'Oppure con il mouse', text: 'EAC › Flusso di posta › Connettori di invio › Nuovo:', list: ['Tipo: Personalizzato', 'Inoltra la posta tramite smart host: {HOST}', 'Autenticazione di base, «Offri autenticazione di base solo dopo l\'avvio di TLS»', 'Spazio di indirizzi: *'], warn: 'Dal centro di amministrazione la porta resta 25: per la 587 usa il comando.' },
			{ title: 'Invia un messaggio di prova', text: 'A una casella esterna. Quando nel pannello risulta Consegnato, spegni il connettore di prima con spazio di indirizzi *.', code: 'Get-SendConnector | Format-Table Name,AddressSpaces,SmartHosts,Enabled' },
		], errors: [['La posta resta nella coda con 451 4.4.0', 'La porta 587 in uscita è chiusa, oppure il nome {HOST} non si risolve: prova i comandi qui sopra.'], ['Exchange non usa la porta 465', 'È così: Exchange non parla TLS implicito. Usa la 587.']] },
	'exchange-online': { name: 'Exchange Online (Microsoft 365)', group: 'servers', short: 'Che cosa è possibile, e che cosa no',
		warn: ['Un connettore in uscita di Exchange Online conosce smart host e TLS, ma nessun nome utente. Gli indirizzi IP di Microsoft sono di tutti i suoi clienti: non li accettiamo mai come unica prova.'],
		rights: 'Amministratore di Exchange', time: '—', undo: 'Nulla da annullare: qui non si cambia niente.', steps: [
			{ title: 'Stampanti e gestionali che usavano Exchange Online', text: 'Microsoft spegne l\'autenticazione di base SMTP: collega il dispositivo o il programma direttamente a {HOST}. Vedi la guida «Stampanti, scanner e gestionali».' },
			{ title: 'Server locale in un ambiente ibrido', text: 'Il server Exchange locale può inviare tramite {HOST}: vedi la guida Exchange Server.' },
			{ title: 'Tutta la posta di Microsoft 365', text: 'Scrivi all\'assistenza: serve un collegamento che riconosca il tuo tenant.' },
		] },
	mdaemon: { name: 'MDaemon', group: 'servers', short: 'Smart host con autenticazione SMTP', rights: 'Amministratore di MDaemon', time: '5 minuti', undo: 'Rimetti la scelta di prima nella stessa finestra.', steps: [
		{ title: 'Apri le impostazioni', text: 'Impostazioni › Impostazioni server › Recapito.' },
		{ title: 'Scegli lo smart host', list: ['«Invia tutti i messaggi e-mail in uscita a un host intelligente»', 'Host intelligente predefinito: {HOST}'], warn: 'Non scegliere «prima direttamente, poi tramite host intelligente»: una parte della posta uscirebbe senza relay.' },
		{ title: 'Autenticazione', mode: 'credentials', list: ['Attiva «Consenti autenticazione per account» solo se serve', 'Utilizza autenticazione SMTP: sì', 'Nome utente: {USER}', 'Password: {PASSWORD}'] },
		{ title: 'Autenticazione', mode: 'ip', text: 'In modalità IP pubblico lascia vuoti nome utente e password.' },
		{ title: 'Porta e TLS', list: ['Impostazioni server › Porte: porta SMTP in uscita 587', 'Sicurezza › SSL e TLS › MDaemon: «Invia posta tramite STARTTLS quando possibile»'] },
	] },
	postfix: { name: 'Postfix', group: 'servers', short: 'relayhost con SASL e TLS', rights: 'root', time: '5 minuti', undo: 'Togli le righe e ricarica Postfix.', steps: [
		{ title: 'Aggiungi a /etc/postfix/main.cf', mode: 'credentials', file: 'shout.cf', code: 'relayhost = [{HOST}]:587\nsmtp_tls_security_level = secure\nsmtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd' },
		{ title: 'Aggiungi a /etc/postfix/main.cf', mode: 'ip', file: 'shout.cf', code: 'relayhost = [{HOST}]:587\nsmtp_tls_security_level = secure\nsmtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt' },
		{ title: 'Scrivi la password', mode: 'credentials', text: 'In /etc/postfix/sasl_passwd:', code: '[{HOST}]:587 {USER}:{PASSWORD}' },
		{ title: 'Attiva', mode: 'credentials', code: 'chmod 600 /etc/postfix/sasl_passwd\npostmap /etc/postfix/sasl_passwd\npostfix reload' },
		{ title: 'Attiva', mode: 'ip', code: 'postfix reload' },
	], errors: [['SASL authentication failed; no mechanism available', 'Manca un pacchetto: libsasl2-modules su Debian e Ubuntu, cyrus-sasl-plain su Red Hat.']] },
	exim: { name: 'Exim', group: 'servers', short: 'Router manualroute e autenticatore plain', rights: 'root', time: '10 minuti', undo: 'Togli i blocchi e riavvia Exim.', steps: [
		{ title: 'Router', text: 'Per primo tra i router, al posto di dnslookup:', code: 'shout:\n  driver = manualroute\n  domains = ! +local_domains\n  transport = shout_smtp\n  route_list = * {HOST}::587' },
		{ title: 'Trasporto', mode: 'credentials', code: 'shout_smtp:\n  driver = smtp\n  hosts_require_tls = *\n  tls_verify_certificates = /etc/ssl/certs/ca-certificates.crt\n  hosts_require_auth = *' },
		{ title: 'Trasporto', mode: 'ip', code: 'shout_smtp:\n  driver = smtp\n  hosts_require_tls = *\n  tls_verify_certificates = /etc/ssl/certs/ca-certificates.crt' },
		{ title: 'Autenticatore', mode: 'credentials', code: 'shout_plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^{USER}^{PASSWORD}' },
		{ title: 'Attiva', code: 'exim4 -bV && systemctl restart exim4' },
	] },
	sendmail: { name: 'Sendmail', group: 'servers', short: 'SMART_HOST e authinfo', rights: 'root', time: '10 minuti', undo: 'Togli le righe e ricrea sendmail.cf.', steps: [
		{ title: 'Aggiungi a sendmail.mc', code: "define(`SMART_HOST', `[{HOST}]')dnl\ndefine(`RELAY_MAILER_ARGS', `TCP $h 587')dnl\ndefine(`ESMTP_MAILER_ARGS', `TCP $h 587')dnl" },
		{ title: 'Scrivi la password', mode: 'credentials', text: 'Attiva FEATURE(`authinfo\') e in /etc/mail/authinfo:', code: 'AuthInfo:{HOST} "U:{USER}" "P:{PASSWORD}" "M:PLAIN"' },
		{ title: 'Attiva', code: 'make -C /etc/mail && systemctl restart sendmail' },
	] },
	hmailserver: { name: 'hMailServer', group: 'servers', short: 'SMTP relayer', rights: 'Amministratore di hMailServer', time: '5 minuti', undo: 'Svuota i campi dello SMTP relayer.', steps: [
		{ title: 'Apri hMailServer Administrator', text: 'Settings › Protocols › SMTP › Delivery of e-mail.' },
		{ title: 'SMTP Relayer', mode: 'credentials', list: ['Remote host name: {HOST}', 'Remote TCP/IP port: 587', 'Server requires authentication: sì', 'User name: {USER}', 'Password: {PASSWORD}', 'Connection security: STARTTLS Required'] },
		{ title: 'SMTP Relayer', mode: 'ip', list: ['Remote host name: {HOST}', 'Remote TCP/IP port: 587', 'Server requires authentication: no', 'Connection security: STARTTLS Required'] },
	] },
	zimbra: { name: 'Zimbra', group: 'servers', short: 'zimbraMtaRelayHost e mappe SASL', rights: 'utente zimbra', time: '10 minuti', undo: 'zmprov ms $(zmhostname) zimbraMtaRelayHost ""', steps: [
		{ title: 'Password', mode: 'credentials', code: 'echo "{HOST} {USER}:{PASSWORD}" > /opt/zimbra/conf/relay_password\npostmap /opt/zimbra/conf/relay_password' },
		{ title: 'Relay e SASL', mode: 'credentials', code: 'zmprov ms $(zmhostname) zimbraMtaRelayHost {HOST}:587\nzmprov ms $(zmhostname) zimbraMtaSmtpSaslPasswordMaps lmdb:/opt/zimbra/conf/relay_password\nzmprov ms $(zmhostname) zimbraMtaSmtpSaslAuthEnable yes\nzmprov ms $(zmhostname) zimbraMtaSmtpTlsSecurityLevel encrypt\nzmmtactl reload' },
		{ title: 'Relay', mode: 'ip', code: 'zmprov ms $(zmhostname) zimbraMtaRelayHost {HOST}:587\nzmprov ms $(zmhostname) zimbraMtaSmtpTlsSecurityLevel encrypt\nzmmtactl reload' },
	] },
	msmtp: { name: 'msmtp', group: 'programs', short: 'Per script e applicazioni su Linux', rights: 'root o il tuo utente', time: '2 minuti', undo: 'Togli il file.', steps: [
		{ title: 'Scrivi /etc/msmtprc', mode: 'credentials', file: 'msmtprc.txt', code: 'defaults\ntls on\ntls_trust_file /etc/ssl/certs/ca-certificates.crt\n\naccount default\nhost {HOST}\nport 587\nauth on\nuser {USER}\npassword {PASSWORD}\nfrom info@il-tuo-dominio.example' },
		{ title: 'Scrivi /etc/msmtprc', mode: 'ip', file: 'msmtprc.txt', code: 'defaults\ntls on\ntls_trust_file /etc/ssl/certs/ca-certificates.crt\n\naccount default\nhost {HOST}\nport 587\nauth off\nfrom info@il-tuo-dominio.example' },
		{ title: 'Prova', code: 'chmod 600 /etc/msmtprc\nprintf "Subject: prova\\n\\nprova\\n" | msmtp casella@esterna.example' },
	] },
	printers: { name: 'Stampanti, scanner e gestionali', group: 'programs', short: 'Una credenziale per ogni dispositivo', rights: 'Amministratore del dispositivo', time: '5 minuti', undo: 'Rimetti i valori di prima.', steps: [
		{ title: 'Crea una credenziale per il dispositivo', mode: 'credentials', text: 'In Connessione › Nuova credenziale: se il dispositivo viene perso, disattivi solo quella.' },
		{ title: 'Scrivi i valori', mode: 'credentials', list: ['Server SMTP: {HOST}', 'Porta: 587 con STARTTLS, oppure 465 con SSL/TLS', 'Nome utente: {USER}', 'Password: {PASSWORD}', 'Mittente: un indirizzo di un tuo dominio verificato'] },
		{ title: 'Scrivi i valori', mode: 'ip', list: ['Server SMTP: {HOST}', 'Porta: 587 con STARTTLS, oppure 25', 'Autenticazione: nessuna', 'Mittente: un indirizzo di un tuo dominio verificato'] },
		{ title: 'Se la prova fallisce con un errore TLS', text: 'Il dispositivo conosce solo TLS vecchio. Aggiorna il firmware; se non basta, scrivi all\'assistenza.' },
	] },
	synology: { name: 'Synology MailPlus Server', group: 'nas', short: 'Mail Delivery › Delivery › Relay Settings', rights: 'Amministratore del NAS', time: '5 minuti', undo: 'Disattiva il relay nella stessa pagina.', steps: [
		{ title: 'Apri MailPlus Server', text: 'Recapito posta › Recapito › Impostazioni inoltro.' },
		{ title: 'Scrivi i valori', mode: 'credentials', list: ['Inoltra tutta la posta a un server: {HOST}', 'Porta: 587, connessione sicura TLS', 'Il server richiede autenticazione: sì', 'Account: {USER}', 'Password: {PASSWORD}'] },
		{ title: 'Scrivi i valori', mode: 'ip', list: ['Inoltra tutta la posta a un server: {HOST}', 'Porta: 587, connessione sicura TLS', 'Il server richiede autenticazione: no'] },
	] },
	qnap: { name: 'QNAP', group: 'nas', short: 'Centro notifiche', rights: 'Amministratore del NAS', time: '3 minuti', undo: 'Togli il servizio SMTP.', steps: [
		{ title: 'Apri il Centro notifiche', text: 'Account servizio e associazione dispositivi › E-mail › Aggiungi servizio SMTP › Personalizzato.' },
		{ title: 'Scrivi i valori', mode: 'credentials', list: ['Server SMTP: {HOST}', 'Porta: 587, TLS', 'Nome utente: {USER}', 'Password: {PASSWORD}'] },
		{ title: 'Scrivi i valori', mode: 'ip', list: ['Server SMTP: {HOST}', 'Porta: 587, TLS', 'Autenticazione: nessuna'] },
	] },
};
