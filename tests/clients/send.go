// send HOST PORT starttls|implicit CA USER PASSWORD SENDER RECIPIENT < message
// Without a user there is no AUTH. The authority is trusted by SSL_CERT_FILE.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/smtp"
	"os"
)

// overTLS does what smtp.SendMail does, on a connection that is TLS from its first byte.
func overTLS(host, port string, auth smtp.Auth, from, to string, message []byte) error {
	conn, err := tls.Dial("tcp", host+":"+port, &tls.Config{ServerName: host})
	if err != nil {
		return err
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		return err
	}
	defer client.Close()
	if auth != nil {
		if err := client.Auth(auth); err != nil {
			return err
		}
	}
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	data, err := client.Data()
	if err != nil {
		return err
	}
	if _, err := data.Write(message); err != nil {
		return err
	}
	if err := data.Close(); err != nil {
		return err
	}
	return client.Quit()
}

func main() {
	host, port, kind, user, password := os.Args[1], os.Args[2], os.Args[3], os.Args[5], os.Args[6]
	from, to := os.Args[7], os.Args[8]
	message, err := io.ReadAll(os.Stdin)
	var auth smtp.Auth
	if user != "" {
		auth = smtp.PlainAuth("", user, password, host)
	}
	if err == nil && kind == "implicit" {
		err = overTLS(host, port, auth, from, to, message)
	} else if err == nil {
		err = smtp.SendMail(host+":"+port, auth, from, []string{to}, message)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
