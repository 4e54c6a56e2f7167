{{/* Names and labels. A tier is "agent", "gateway" or "sampler". */}}
{{- define "otel.name" -}}
{{- printf "%s-%s" .root.Release.Name .tier | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "otel.selector" -}}
app.kubernetes.io/name: blogauto-otel
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .tier }}
{{- end -}}

{{- define "otel.labels" -}}
{{ include "otel.selector" . }}
app.kubernetes.io/part-of: blogauto-otel
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* The overlays of a tier, as YAML. */}}
{{- define "otel.overlays" -}}
{{- $values := .root.Values -}}
{{- if and $values.kafka.enabled (not $values.sampler.enabled) }}{{ fail "kafka.enabled needs sampler.enabled: samplers read from Kafka" }}{{ end -}}
{{- $tier := index $values .tier -}}
{{- $overlays := $tier.overlays -}}
{{- if and $values.kafka.enabled (ne .tier "agent") -}}
  {{- $overlays = $tier.overlaysWithKafka -}}
{{- else if and $values.sampler.enabled (eq .tier "gateway") -}}
  {{- $overlays = $tier.overlaysWithSamplers -}}
{{- end -}}
{{- toYaml $overlays -}}
{{- end -}}

{{/* The text of one Collector file. */}}
{{- define "otel.file" -}}
{{- $text := .root.Files.Get (printf "files/%s.yaml" .name) -}}
{{- if not $text }}{{ fail (printf "the overlay %s is not in the chart: there is no files/%s.yaml (python -m tools.kubernetes copies collector/)" .name .name) }}{{ end -}}
{{- $text -}}
{{- end -}}

{{- define "otel.configName" -}}
{{- include "otel.name" . }}-config
{{- end -}}

{{/* A Collector's container. */}}
{{- define "otel.container" -}}
{{- $values := .root.Values -}}
{{- $tier := index $values .tier -}}
- name: collector
  image: {{ $values.image.reference | quote }}
  imagePullPolicy: {{ $values.image.pullPolicy }}
  args:
    - --config=file:/etc/otelcol/base.yaml
    {{- range include "otel.overlays" . | fromYamlArray }}
    - --config=file:/etc/otelcol/{{ . }}.yaml
    {{- end }}
    {{- if ne .tier "agent" }}
    # Connections end after a minute, so that senders find the pods that autoscaling has added.
    - "--config=yaml:receivers::otlp::protocols::grpc::keepalive::server_parameters::max_connection_age: 60s"
    {{- end }}
  env:
    - {name: ENVIRONMENT, value: {{ $values.environment | quote }}}
    - {name: OTELCOL_LISTEN_HOST, value: {{ $values.listenHost | quote }}}
    - {name: OTELCOL_STORAGE_DIR, value: /var/lib/otelcol/queue}
    - {name: GOMEMLIMIT, value: {{ $tier.goMemLimit | quote }}}
    {{- if has "process-redact" (include "otel.overlays" . | fromYamlArray) }}
    - {name: REDACTION_HMAC_KEY, valueFrom: {secretKeyRef: {name: {{ $values.redaction.existingSecret | quote }}, key: {{ $values.redaction.key | quote }}}}}
    {{- end }}
    {{- if eq .tier "agent" }}
    - {name: OTELCOL_NEXT_ENDPOINT, value: {{ printf "dns:///%s.%s.svc:4317" (include "otel.name" (dict "root" .root "tier" "gateway")) .root.Release.Namespace | quote }}}
    {{- else }}
    - {name: SAMPLER_HOST, value: {{ printf "%s.%s.svc" (include "otel.name" (dict "root" .root "tier" "sampler")) .root.Release.Namespace | quote }}}
    - {name: JAEGER_OTLP_ENDPOINT, value: {{ $values.backends.jaeger | quote }}}
    - {name: PROMETHEUS_OTLP_ENDPOINT, value: {{ $values.backends.prometheus | quote }}}
    - {name: LOKI_OTLP_ENDPOINT, value: {{ $values.backends.loki | quote }}}
    {{- end }}
    {{- if eq .tier "sampler" }}
    - {name: OTELCOL_SAMPLING_PERCENT, value: {{ $values.sampler.percent | quote }}}
    - {name: OTELCOL_SAMPLING_WAIT, value: {{ $values.sampler.wait | quote }}}
    {{- end }}
    {{- if and $values.kafka.enabled (ne .tier "agent") }}
    - {name: KAFKA_BROKERS, value: {{ $values.kafka.brokers | quote }}}
    {{- with $values.kafka.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- end }}
    {{- with $tier.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports:
    - {name: otlp-grpc, containerPort: 4317, protocol: TCP{{ if $tier.hostPort }}, hostPort: 4317{{ end }}}
    - {name: otlp-http, containerPort: 4318, protocol: TCP{{ if $tier.hostPort }}, hostPort: 4318{{ end }}}
    - {name: metrics, containerPort: 8888, protocol: TCP}
    - {name: health, containerPort: 13133, protocol: TCP}
  startupProbe: {httpGet: {path: /, port: health}, periodSeconds: 2, failureThreshold: 60}
  readinessProbe: {httpGet: {path: /, port: health}, periodSeconds: 5}
  livenessProbe: {httpGet: {path: /, port: health}, periodSeconds: 10, failureThreshold: 6}
  resources:
    {{- toYaml $tier.resources | nindent 4 }}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    privileged: false
    capabilities: {drop: [ALL]}
  volumeMounts:
    - {name: config, mountPath: /etc/otelcol, readOnly: true}
    - {name: queue, mountPath: /var/lib/otelcol}
    {{- if and (eq .tier "gateway") $values.gatewaySecret }}
    - {name: secrets, mountPath: /etc/otelcol-secrets, readOnly: true}
    {{- end }}
{{- end -}}

{{/* What every Collector's pod has around its container. */}}
{{- define "otel.pod" -}}
{{- $values := .root.Values -}}
{{- $tier := index $values .tier -}}
serviceAccountName: {{ include "otel.name" . }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $tier.terminationGracePeriodSeconds }}
{{- with $tier.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
containers:
  {{- include "otel.container" . | nindent 2 }}
{{- end -}}

{{- define "otel.annotations" -}}
checksum/config: {{ include (print .root.Template.BasePath "/configmaps.yaml") .root | sha256sum }}
{{- end -}}
