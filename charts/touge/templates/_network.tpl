{{/* Whom pods may talk to. */}}

{{/* Cluster DNS, and a node's own cache of it. */}}
{{- define "touge.egressToDns" -}}
- to:
    - namespaceSelector: {}
    - ipBlock: {cidr: 169.254.20.10/32}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end }}

{{- define "touge.egressToStore" -}}
{{- $store := .Values.networkPolicy.store -}}
{{- if .Values.storage.embedded.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "touge.selector" (list . "store") | nindent 10 }}
  ports: [{protocol: TCP, port: 7070}]
{{- else }}
- to:
    {{- include "touge.blocks" $store.cidrs | indent 4 }}
    {{- with include "touge.storePeer" $store | fromYaml }}
    - {{ toJson . }}
    {{- end }}
  {{- include "touge.ports" $store.ports | nindent 2 }}
{{- end }}
{{- end }}

{{/* A store in the cluster, by the selectors that were given. */}}
{{- define "touge.storePeer" -}}
{{- with .podSelector }}
podSelector: {{ toJson . }}
{{- end }}
{{- with .namespaceSelector }}
namespaceSelector: {{ toJson . }}
{{- end }}
{{- end }}

{{/* What every pod of touge may reach. */}}
{{- define "touge.egress" -}}
{{- include "touge.egressToDns" . }}
{{- include "touge.egressToStore" . }}
{{- with .Values.networkPolicy.identity }}
{{- if .cidrs }}
- to:
    {{- include "touge.blocks" .cidrs | indent 4 }}
  {{- include "touge.ports" .ports | nindent 2 }}
{{- end }}
{{- end }}
{{- with .Values.networkPolicy.egress }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "touge.blocks" -}}
{{- range . }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end }}

{{- define "touge.ports" -}}
ports:
  {{- range . }}
  - {protocol: TCP, port: {{ int . }}}
  {{- end }}
{{- end }}
