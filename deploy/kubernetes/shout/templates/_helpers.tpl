{{- define "shout.name" -}}
{{- if contains "shout" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{ else }}{{ printf "%s-shout" .Release.Name | trunc 40 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "shout.image" -}}
{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* Labels that select: dict "root" $ "part" "ingress" */}}
{{- define "shout.selector" -}}
app.kubernetes.io/name: shout
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* The same for use within braces. */}}
{{- define "shout.match" -}}
{{ include "shout.selector" . | fromYaml | toJson }}
{{- end }}

{{- define "shout.labels" -}}
{{ include "shout.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{- define "shout.meta" -}}
name: {{ include "shout.name" .root }}-{{ .part }}
labels: {{- include "shout.labels" . | nindent 2 }}
{{- end }}

{{/* The restricted profile, for every pod and every container. */}}
{{- define "shout.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "shout.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* What all pods have in common: dict "root" $ "part" "ingress" "user" 10001 */}}
{{- define "shout.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext: {{- include "shout.podSecurity" .user | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: {{ $.root.Values.topologySpread.whenUnsatisfiable }}
    labelSelector: {matchLabels: {{ include "shout.match" $ }}}
{{- end }}
{{- end }}

{{- define "shout.annotations" -}}
checksum/config: {{ include "shout.config" (dict "root" .root "role" .part) | sha256sum }}
{{- with .root.Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Starting may take long: a sender reads mail.state first. A role that has failed is not ready, but lives. */}}
{{- define "shout.probes" -}}
startupProbe: {httpGet: {path: /livez, port: metrics}, periodSeconds: 2, failureThreshold: 30}
livenessProbe: {httpGet: {path: /livez, port: metrics}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
readinessProbe: {httpGet: {path: /readyz, port: metrics}, periodSeconds: 3, timeoutSeconds: 5, failureThreshold: 2}
{{- end }}

{{/* The volumes of settings and secrets, and where they are mounted. */}}
{{- define "shout.volumes" -}}
- name: config
  configMap: {name: {{ include "shout.name" . }}}
{{- range $name, $secret := include "shout.secrets" . | fromYaml }}
- name: {{ $name }}
  secret: {secretName: {{ $secret.name }}, defaultMode: 0440, items: [{key: {{ $secret.key }}, path: {{ $name }}}]}
{{- end }}
{{- end }}

{{- /* The pod's name: what events and lists call the process. */}}
{{- define "shout.node" -}}
- {name: NODE, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
{{- end }}

{{- define "shout.mounts" -}}
- {name: config, mountPath: /etc/shout, readOnly: true}
{{- range $name, $secret := include "shout.secrets" . | fromYaml }}
- {name: {{ $name }}, mountPath: /etc/shout-{{ $name }}, readOnly: true}
{{- end }}
{{- end }}

{{/* name: {name, key} of each Secret that shout.yaml names a file of; the file is /etc/shout-NAME/NAME. */}}
{{- define "shout.secrets" -}}
{{- $all := dict }}
{{- $kafka := include "shout.kafka" . | fromYaml }}
{{- if $kafka.caSecret.name }}{{ $_ := set $all "kafka-ca" $kafka.caSecret }}{{ end }}
{{- if ne $kafka.sasl.mechanism "none" }}{{ $_ := set $all "kafka-password" $kafka.sasl.passwordSecret }}{{ end }}
{{- if .Values.redis.caSecret.name }}{{ $_ := set $all "redis-ca" .Values.redis.caSecret }}{{ end }}
{{- if .Values.redis.passwordSecret.name }}{{ $_ := set $all "redis-password" .Values.redis.passwordSecret }}{{ end }}
{{- if .Values.redis.sentinelPasswordSecret.name }}{{ $_ := set $all "sentinel-password" .Values.redis.sentinelPasswordSecret }}{{ end }}
{{- toYaml $all }}
{{- end }}

{{/* brokers, tls, caSecret, sasl: of the Kafka that is there already, or of Strimzi's. */}}
{{- define "shout.kafka" -}}
{{- if .Values.kafka.strimzi.enabled }}
{{- $name := printf "%s-kafka" (include "shout.name" .) }}
brokers: {{ $name }}-kafka-bootstrap:9093
tls: true
caSecret: {name: {{ $name }}-cluster-ca-cert, key: ca.crt}
sasl: {mechanism: none}
{{- else }}
{{- pick .Values.kafka "brokers" "tls" "caSecret" "sasl" | toYaml }}
{{- end }}
{{- end }}

{{- define "shout.tlsSecrets" -}}
{{- $secrets := .Values.tls.secrets }}
{{- if .Values.tls.issuer.name }}
{{- $secrets = list }}
{{- range .Values.hostnames }}{{ $secrets = append $secrets (printf "%s-%s-tls" (include "shout.name" $) (. | splitList "." | first)) }}{{ end }}
{{- end }}
{{- $secrets | toJson }}
{{- end }}

{{- define "shout.clamdInPod" -}}
{{- if not .Values.clamd.addresses }}yes{{ end }}
{{- end }}

{{/* The settings of a role: dict "root" $ "role" "ingress". Shout looks for each file that its settings name, so
     only ingress names certificates, and only the scanner where its clamd unpacks. */}}
{{- define "shout.config" -}}
{{- $role := .role }}
{{- with .root }}
{{- $kafka := include "shout.kafka" . | fromYaml }}
{{- $queue := dict "backend" "kafka" "brokers" $kafka.brokers "partitions" .Values.kafka.partitions "replication" .Values.kafka.replication "tls" $kafka.tls }}
{{- if $kafka.caSecret.name }}{{ $_ := set $queue "ca" "/etc/shout-kafka-ca/kafka-ca" }}{{ end }}
{{- if ne $kafka.sasl.mechanism "none" }}
{{- $_ := set $queue "sasl" (dict "mechanism" $kafka.sasl.mechanism "username" $kafka.sasl.username "password_file" "/etc/shout-kafka-password/kafka-password") }}
{{- end }}
{{- if .Values.kafka.strimzi.enabled }}{{ $_ := set $queue "events_keep" .Values.kafka.strimzi.eventsKeep }}{{ end }}
{{- $redis := dict "address" .Values.redis.address "tls" .Values.redis.tls }}
{{- if .Values.redis.sentinels }}{{ $redis = dict "sentinels" .Values.redis.sentinels "master" .Values.redis.master "tls" .Values.redis.tls }}{{ end }}
{{- if .Values.valkey.enabled }}{{ $_ := set $redis "address" (printf "%s-valkey:6379" (include "shout.name" .)) }}{{ end }}
{{- if .Values.redis.caSecret.name }}{{ $_ := set $redis "ca" "/etc/shout-redis-ca/redis-ca" }}{{ end }}
{{- if .Values.redis.passwordSecret.name }}{{ $_ := set $redis "password_file" "/etc/shout-redis-password/redis-password" }}{{ end }}
{{- if .Values.redis.sentinelPasswordSecret.name }}{{ $_ := set $redis "sentinel_password_file" "/etc/shout-sentinel-password/sentinel-password" }}{{ end }}
{{- $config := dict
  "hostname" (first .Values.hostnames)
  "state_dir" "/var/lib/shout/state"
  "queue" $queue
  "redis" $redis
  "control" (dict "listen" "0.0.0.0:8080")
  "metrics" (dict "listen" "0.0.0.0:9090") }}
{{- if eq $role "ingress" }}{{ $_ := set $config "ingress" (include "shout.configIngress" . | fromYaml) }}{{ end }}
{{- if and (eq $role "scanner") .Values.clamd.addresses }}
{{- $_ := set $config "scanner" (dict "clamd" .Values.clamd.addresses) }}
{{- else if eq $role "scanner" }}
{{- $_ := set $config "scanner" (dict "clamd" (list "unix:/run/clamav/clamd.sock") "clamd_temporary" "/run/clamav-temporary" "connections" .Values.clamd.threads) }}
{{- end }}
{{- mergeOverwrite $config (deepCopy .Values.config) | toYaml }}
{{- end }}
{{- end }}

{{- define "shout.configIngress" -}}
{{- $proxy := dict }}
{{- if ne .Values.ingress.clientAddress "local" }}{{ $proxy = dict "proxy" true "proxies" .Values.ingress.proxies }}{{ end }}
{{- $listen := list
  (merge (dict "address" "0.0.0.0:2525" "tls" "starttls" "tls_profile" (ternary "legacy" "modern" .Values.ingress.legacyTLS) "auth_without_tls" .Values.ingress.authWithoutTLS) $proxy)
  (merge (dict "address" "0.0.0.0:2587" "tls" "starttls" "tls_required" true) $proxy)
  (merge (dict "address" "0.0.0.0:2465" "tls" "implicit") $proxy) }}
{{- $files := list }}
{{- range $i, $_ := include "shout.tlsSecrets" . | fromJsonArray }}
{{- $files = append $files (dict "certificate" (printf "/etc/shout-tls/%d/tls.crt" $i) "key" (printf "/etc/shout-tls/%d/tls.key" $i)) }}
{{- end }}
{{- $tls := dict }}
{{- if $files }}
{{- $tls = deepCopy (first $files) }}
{{- if rest $files }}{{ $_ := set $tls "more" (rest $files) }}{{ end }}
{{- end }}
{{- dict "listen" $listen "tls" $tls | toYaml }}
{{- end }}

{{/* A volume of a StatefulSet: dict "part" $part "storage" .Values.sender.storage. Nothing in it changes with
     the chart's version: the API refuses that. */}}
{{- define "shout.claim" -}}
- metadata:
    name: state
    labels: {{- include "shout.selector" .part | nindent 6 }}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with .storage.class }}
    storageClassName: {{ . | quote }}
    {{- end }}
    resources: {requests: {storage: {{ .storage.size }}}}
{{- end }}

{{/* Who may connect to the SMTP ports of the pods that customers reach. */}}
{{- define "shout.clients" -}}
{{- with .Values.networkPolicy.clients }}
from: {{- toYaml . | nindent 2 }}
{{- end }}
ports: [{port: 2525}, {port: 2587}, {port: 2465}]
{{- end }}

{{/* [{port: 9092}, ...] of a list of host:port */}}
{{- define "shout.ports" -}}
{{- $ports := list }}
{{- range . }}{{ $ports = append $ports (dict "port" (splitList ":" . | last | int)) }}{{ end }}
{{- $ports | uniq | toJson }}
{{- end }}

{{- define "shout.egressKafka" -}}
{{- if .Values.kafka.strimzi.enabled }}
- to: [{podSelector: {matchLabels: {strimzi.io/cluster: {{ include "shout.name" . }}-kafka}}}]
  ports: [{port: 9093}]
{{- else }}
- {{- with .Values.networkPolicy.kafka }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
  ports: {{- include "shout.ports" (splitList "," .Values.kafka.brokers) | nindent 4 }}
{{- end }}
{{- end }}

{{/* Kafka and Redis, which every role needs. */}}
{{- define "shout.egressShared" -}}
{{ include "shout.egressKafka" . }}
{{- if .Values.valkey.enabled }}
- to: [{podSelector: {matchLabels: {{ include "shout.match" (dict "root" . "part" "valkey") }}}}]
  ports: [{port: 6379}]
{{- else }}
- {{- with .Values.networkPolicy.redis }}
  to: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $servers := append .Values.redis.sentinels (printf "redis:%v" .Values.redis.port) }}
  ports: {{- include "shout.ports" (ternary $servers (list .Values.redis.address) (gt (len $servers) 1)) | nindent 4 }}
{{- end }}
{{- end }}

{{/* How many pods: dict "root" $ "part" "ingress". With autoscaling what there are now: without the number Kubernetes
     would take it for 1, and stop all others until the autoscaler looks again. */}}
{{- define "shout.replicas" -}}
{{- $role := get .root.Values .part }}
{{- if $role.autoscaling.enabled }}
{{- $now := lookup "apps/v1" "Deployment" .root.Release.Namespace (printf "%s-%s" (include "shout.name" .root) .part) }}
{{- max (dig "spec" "replicas" 0 $now) $role.autoscaling.min }}
{{- else }}
{{- $role.replicas }}
{{- end }}
{{- end }}
