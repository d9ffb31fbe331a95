// Guides in English. {HOST}, {USER} and {PASSWORD} are the account's values; `mode` limits a step to one mode of access.
export const guides = {
	exchange: { name: 'Exchange Server 2013–2019, SE', group: 'servers', short: 'A send connector, by PowerShell or in the admin center',
		rights: 'Organization Management', time: '10 minutes', undo: 'Disable the new connector and enable the one of before.', steps: [
			{ title: 'Open the Exchange Management Shell', text: 'As an administrator, on the server that sends mail.' },
			{ title: 'Create the connector', mode: 'credentials', text: 'When asked, type the username {USER} and its password.', file: 'shout.ps1',
				code: "New-SendConnector -Name Shout -AddressSpaces '*' -SmartHosts {HOST} -DNSRoutingEnabled $false -Port 587 -RequireTLS $true -TlsAuthLevel DomainValidation -TlsDomain {HOST} -SmartHostAuthMechanism BasicAuthRequireTLS -AuthenticationCredential (Get-Credential {USER})" },
			{ title: 'Create the connector', mode: 'ip', text: 'In mode public IP no credentials are needed.', file: 'shout.ps1',
				code: "New-SendConnector -Name Shout -AddressSpaces '*' -SmartHosts {HOST} -DNSRoutingEnabled $false -Port 587 -RequireTLS $true -TlsAuthLevel DomainValidation -TlsDomain {HOST} -SmartHostAuthMechanism None" },
			{ title: 'Or by clicks', text: 'EAC › Mail flow › Send connectors › New:', list: ['Type: Custom', 'Route mail through smart hosts: {HOST}', 'Basic authentication, "Offer basic authentication only after starting TLS"', 'Address space: *'], warn: 'In the admin center the port stays 25: for 587 use the command.' },
			{ title: 'Send a test message', text: 'To a mailbox elsewhere. Once the panel shows it as Delivered, turn the old connector with address space * off.', code: 'Get-SendConnector | Format-Table Name,AddressSpaces,SmartHosts,Enabled' },
		], errors: [['Mail stays in the queue with 451 4.4.0', 'Port 587 is closed on the way out, or the name {HOST} does not resolve: try the commands above.'], ['Exchange does not use port 465', 'That is so: Exchange does not speak implicit TLS. Use 587.']] },
	'exchange-online': { name: 'Exchange Online (Microsoft 365)', group: 'servers', short: 'What is possible, and what is not',
		warn: ['An outbound connector of Exchange Online knows smart host and TLS, but no username. Microsoft\'s IP addresses are shared by all its customers: we never take them as the only proof.'],
		rights: 'Exchange administrator', time: '—', undo: 'Nothing to undo: nothing is changed here.', steps: [
			{ title: 'Printers and programs that used Exchange Online', text: 'Microsoft turns basic SMTP authentication off: connect the device or program directly to {HOST}. See the guide "Printers, scanners and business programs".' },
			{ title: 'A local server in a hybrid environment', text: 'The local Exchange server can send through {HOST}: see the guide Exchange Server.' },
			{ title: 'All mail of Microsoft 365', text: 'Write to support: a connection is needed that recognises your tenant.' },
		] },
	mdaemon: { name: 'MDaemon', group: 'servers', short: 'Smart host with SMTP authentication', rights: 'MDaemon administrator', time: '5 minutes', undo: 'Choose what was chosen before in the same window.', steps: [
		{ title: 'Open the settings', text: 'Setup › Server settings › Delivery.' },
		{ title: 'Choose the smart host', list: ['"Send all outbound email to a smart host"', 'Default smart host: {HOST}'], warn: 'Do not choose "first directly, then by smart host": part of the mail would leave without the relay.' },
		{ title: 'Authentication', mode: 'credentials', list: ['"Allow per-account authentication" only if you need it', 'Use SMTP authentication: yes', 'User name: {USER}', 'Password: {PASSWORD}'] },
		{ title: 'Authentication', mode: 'ip', text: 'In mode public IP leave user name and password empty.' },
		{ title: 'Port and TLS', list: ['Server settings › Ports: outbound SMTP port 587', 'Security › SSL & TLS › MDaemon: "Send mail using STARTTLS whenever possible"'] },
	] },
	postfix: { name: 'Postfix', group: 'servers', short: 'relayhost with SASL and TLS', rights: 'root', time: '5 minutes', undo: 'Remove the lines and reload Postfix.', steps: [
		{ title: 'Add to /etc/postfix/main.cf', mode: 'credentials', file: 'shout.cf', code: 'relayhost = [{HOST}]:587\nsmtp_tls_security_level = secure\nsmtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt\nsmtp_sasl_auth_enable = yes\nsmtp_sasl_security_options = noanonymous\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd' },
		{ title: 'Add to /etc/postfix/main.cf', mode: 'ip', file: 'shout.cf', code: 'relayhost = [{HOST}]:587\nsmtp_tls_security_level = secure\nsmtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt' },
		{ title: 'Write the password', mode: 'credentials', text: 'In /etc/postfix/sasl_passwd:', code: '[{HOST}]:587 {USER}:{PASSWORD}' },
		{ title: 'Activate', mode: 'credentials', code: 'chmod 600 /etc/postfix/sasl_passwd\npostmap /etc/postfix/sasl_passwd\npostfix reload' },
		{ title: 'Activate', mode: 'ip', code: 'postfix reload' },
	], errors: [['SASL authentication failed; no mechanism available', 'A package is missing: libsasl2-modules on Debian and Ubuntu, cyrus-sasl-plain on Red Hat.']] },
	exim: { name: 'Exim', group: 'servers', short: 'A manualroute router and a plain authenticator', rights: 'root', time: '10 minutes', undo: 'Remove the blocks and restart Exim.', steps: [
		{ title: 'Router', text: 'First of the routers, in the place of dnslookup:', code: 'shout:\n  driver = manualroute\n  domains = ! +local_domains\n  transport = shout_smtp\n  route_list = * {HOST}::587' },
		{ title: 'Transport', mode: 'credentials', code: 'shout_smtp:\n  driver = smtp\n  hosts_require_tls = *\n  tls_verify_certificates = /etc/ssl/certs/ca-certificates.crt\n  hosts_require_auth = *' },
		{ title: 'Transport', mode: 'ip', code: 'shout_smtp:\n  driver = smtp\n  hosts_require_tls = *\n  tls_verify_certificates = /etc/ssl/certs/ca-certificates.crt' },
		{ title: 'Authenticator', mode: 'credentials', code: 'shout_plain:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^{USER}^{PASSWORD}' },
		{ title: 'Activate', code: 'exim4 -bV && systemctl restart exim4' },
	] },
	sendmail: { name: 'Sendmail', group: 'servers', short: 'SMART_HOST and authinfo', rights: 'root', time: '10 minutes', undo: 'Remove the lines and make sendmail.cf anew.', steps: [
		{ title: 'Add to sendmail.mc', code: "define(`SMART_HOST', `[{HOST}]')dnl\ndefine(`RELAY_MAILER_ARGS', `TCP $h 587')dnl\ndefine(`ESMTP_MAILER_ARGS', `TCP $h 587')dnl" },
		{ title: 'Write the password', mode: 'credentials', text: 'Enable FEATURE(`authinfo\') and in /etc/mail/authinfo:', code: 'AuthInfo:{HOST} "U:{USER}" "P:{PASSWORD}" "M:PLAIN"' },
		{ title: 'Activate', code: 'make -C /etc/mail && systemctl restart sendmail' },
	] },
	hmailserver: { name: 'hMailServer', group: 'servers', short: 'SMTP relayer', rights: 'hMailServer administrator', time: '5 minutes', undo: 'Empty the fields of the SMTP relayer.', steps: [
		{ title: 'Open hMailServer Administrator', text: 'Settings › Protocols › SMTP › Delivery of e-mail.' },
		{ title: 'SMTP Relayer', mode: 'credentials', list: ['Remote host name: {HOST}', 'Remote TCP/IP port: 587', 'Server requires authentication: yes', 'User name: {USER}', 'Password: {PASSWORD}', 'Connection security: STARTTLS Required'] },
		{ title: 'SMTP Relayer', mode: 'ip', list: ['Remote host name: {HOST}', 'Remote TCP/IP port: 587', 'Server requires authentication: no', 'Connection security: STARTTLS Required'] },
	] },
	zimbra: { name: 'Zimbra', group: 'servers', short: 'zimbraMtaRelayHost and SASL maps', rights: 'user zimbra', time: '10 minutes', undo: 'zmprov ms $(zmhostname) zimbraMtaRelayHost ""', steps: [
		{ title: 'Password', mode: 'credentials', code: 'echo "{HOST} {USER}:{PASSWORD}" > /opt/zimbra/conf/relay_password\npostmap /opt/zimbra/conf/relay_password' },
		{ title: 'Relay and SASL', mode: 'credentials', code: 'zmprov ms $(zmhostname) zimbraMtaRelayHost {HOST}:587\nzmprov ms $(zmhostname) zimbraMtaSmtpSaslPasswordMaps lmdb:/opt/zimbra/conf/relay_password\nzmprov ms $(zmhostname) zimbraMtaSmtpSaslAuthEnable yes\nzmprov ms $(zmhostname) zimbraMtaSmtpTlsSecurityLevel encrypt\nzmmtactl reload' },
		{ title: 'Relay', mode: 'ip', code: 'zmprov ms $(zmhostname) zimbraMtaRelayHost {HOST}:587\nzmprov ms $(zmhostname) zimbraMtaSmtpTlsSecurityLevel encrypt\nzmmtactl reload' },
	] },
	msmtp: { name: 'msmtp', group: 'programs', short: 'For scripts and programs on Linux', rights: 'root or your own user', time: '2 minutes', undo: 'Remove the file.', steps: [
		{ title: 'Write /etc/msmtprc', mode: 'credentials', file: 'msmtprc.txt', code: 'defaults\ntls on\ntls_trust_file /etc/ssl/certs/ca-certificates.crt\n\naccount default\nhost {HOST}\nport 587\nauth on\nuser {USER}\npassword {PASSWORD}\nfrom info@your-domain.example' },
		{ title: 'Write /etc/msmtprc', mode: 'ip', file: 'msmtprc.txt', code: 'defaults\ntls on\ntls_trust_file /etc/ssl/certs/ca-certificates.crt\n\naccount default\nhost {HOST}\nport 587\nauth off\nfrom info@your-domain.example' },
		{ title: 'Try it', code: 'chmod 600 /etc/msmtprc\nprintf "Subject: test\\n\\ntest\\n" | msmtp mailbox@elsewhere.example' },
	] },
	printers: { name: 'Printers, scanners and business programs', group: 'programs', short: 'One credential for each device', rights: 'Administrator of the device', time: '5 minutes', undo: 'Type the values of before.', steps: [
		{ title: 'Create a credential for the device', mode: 'credentials', text: 'In Connection › New credential: if the device is lost, you disable that one only.' },
		{ title: 'Type the values', mode: 'credentials', list: ['SMTP server: {HOST}', 'Port: 587 with STARTTLS, or 465 with SSL/TLS', 'User name: {USER}', 'Password: {PASSWORD}', 'Sender: an address of a verified domain of yours'] },
		{ title: 'Type the values', mode: 'ip', list: ['SMTP server: {HOST}', 'Port: 587 with STARTTLS, or 25', 'Authentication: none', 'Sender: an address of a verified domain of yours'] },
		{ title: 'If the test fails with a TLS error', text: 'The device knows old TLS only. Update its firmware; if that is not enough, write to support.' },
	] },
	synology: { name: 'Synology MailPlus Server', group: 'nas', short: 'Mail Delivery › Delivery › Relay Settings', rights: 'Administrator of the NAS', time: '5 minutes', undo: 'Turn the relay off on the same page.', steps: [
		{ title: 'Open MailPlus Server', text: 'Mail Delivery › Delivery › Relay Settings.' },
		{ title: 'Type the values', mode: 'credentials', list: ['Relay all mail to a server: {HOST}', 'Port: 587, secure connection TLS', 'Server requires authentication: yes', 'Account: {USER}', 'Password: {PASSWORD}'] },
		{ title: 'Type the values', mode: 'ip', list: ['Relay all mail to a server: {HOST}', 'Port: 587, secure connection TLS', 'Server requires authentication: no'] },
	] },
	qnap: { name: 'QNAP', group: 'nas', short: 'Notification Center', rights: 'Administrator of the NAS', time: '3 minutes', undo: 'Remove the SMTP service.', steps: [
		{ title: 'Open the Notification Center', text: 'Service Account and Device Pairing › E-mail › Add SMTP Service › Custom.' },
		{ title: 'Type the values', mode: 'credentials', list: ['SMTP server: {HOST}', 'Port: 587, TLS', 'User name: {USER}', 'Password: {PASSWORD}'] },
		{ title: 'Type the values', mode: 'ip', list: ['SMTP server: {HOST}', 'Port: 587, TLS', 'Authentication: none'] },
	] },
};
