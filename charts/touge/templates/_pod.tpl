{{/* What every pod has: identity of the process, credentials, certificates. */}}

{{/* Pod Security "restricted", for the pod. */}}
{{- define "touge.podSecurity" -}}
{{- $user := int64 .Values.security.runAsUser -}}
runAsNonRoot: true
runAsUser: {{ $user }}
runAsGroup: {{ $user }}
fsGroup: {{ $user }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* The same, for each container. */}}
{{- define "touge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Account, security and pull secrets: (list . controller|jobs). Only the controller gets a token. */}}
{{- define "touge.podIdentity" -}}
{{- $root := first . -}}
serviceAccountName: {{ include "touge.serviceAccountName" . }}
automountServiceAccountToken: {{ eq (last .) "controller" }}
enableServiceLinks: false
securityContext:
  {{- include "touge.podSecurity" $root | nindent 2 }}
{{- with $root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where a pod may run, from the settings of its kind. */}}
{{- define "touge.scheduling" -}}
{{- range $key := list "priorityClassName" "runtimeClassName" "nodeSelector" "tolerations" "affinity" }}
{{- with get $ $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- end }}

{{/* Environment for store, hub and certificates: (list . controller|jobs). */}}
{{- define "touge.accessEnv" -}}
{{- $root := first . -}}
{{- include "touge.storeEnv" . }}
{{- with $root.Values.hub.tokenSecret }}
- name: HF_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . }}, key: HF_TOKEN}}
{{- end }}
{{- if $root.Values.caBundle.configMap }}
{{- range list "AWS_CA_BUNDLE" "REQUESTS_CA_BUNDLE" "SSL_CERT_FILE" }}
- {name: {{ . }}, value: /etc/touge/ca/bundle.crt}
{{- end }}
{{- end }}
{{- end }}

{{/* The certificates, mounted: YAML lists. */}}
{{- define "touge.caMounts" -}}
{{- if .Values.caBundle.configMap -}}
- {name: ca, mountPath: /etc/touge/ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "touge.caVolumes" -}}
{{- with .Values.caBundle }}
{{- if .configMap -}}
- {name: ca, configMap: {name: {{ .configMap }}, items: [{key: {{ .key }}, path: bundle.crt}]}}
{{- end }}
{{- end }}
{{- end }}
