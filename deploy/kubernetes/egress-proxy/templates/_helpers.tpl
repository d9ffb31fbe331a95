{{- define "proxy.labels" -}}
app.kubernetes.io/name: egress-proxy
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- /* Dante's settings. What is not let through is refused. */}}
{{- define "proxy.settings" -}}
logoutput: stderr
internal: @NODE@ port = {{ .proxy.port }}
external: {{ .proxy.address }}
clientmethod: none
socksmethod: username
user.privileged: shout
user.unprivileged: shout
{{- range .root.Values.from }}
client pass {
	from: {{ . }} to: 0/0
	log: error
}
{{- end }}
{{- range .root.Values.allow }}
socks pass {
	from: 0/0 to: {{ . }} port = {{ $.root.Values.port }}
	command: connect
	log: error
}
{{- end }}
# the node itself, its neighbours, the pods, the cloud's metadata
{{- range list "0.0.0.0/8" "10.0.0.0/8" "100.64.0.0/10" "127.0.0.0/8" "169.254.0.0/16" "172.16.0.0/12" "192.168.0.0/16" "224.0.0.0/3" "::/3" "4000::/2" "8000::/1" }}
socks block {
	from: 0/0 to: {{ . }}
	log: connect error
}
{{- end }}
socks pass {
	from: 0/0 to: 0/0 port = {{ .root.Values.port }}
	command: connect
	log: error
}
{{- end }}
