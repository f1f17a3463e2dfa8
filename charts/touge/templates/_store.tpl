{{/* The object store, given or embedded. */}}

{{- define "touge.storeUri" -}}
{{ ternary "s3://touge" .Values.storage.uri .Values.storage.embedded.enabled }}
{{- end }}

{{- define "touge.storeEndpoint" -}}
{{- $embedded := printf "http://%s-store.%s.svc:7070" (include "touge.fullname" .) .Release.Namespace -}}
{{ ternary $embedded .Values.storage.endpoint .Values.storage.embedded.enabled }}
{{- end }}

{{/* Secret of a store's user, or nothing where the cloud knows the pod: (list . controller|jobs). */}}
{{- define "touge.storeSecret" -}}
{{- $root := first . }}{{- $storage := $root.Values.storage -}}
{{- if $storage.embedded.enabled -}}
{{ include "touge.fullname" $root }}-store
{{- else if eq $storage.credentials "secret" -}}
{{ index $storage (printf "%sSecret" (last .)) }}
{{- end }}
{{- end }}

{{/* (list . controller|jobs) */}}
{{- define "touge.storeEnv" -}}
{{- $root := first . }}{{- $storage := $root.Values.storage -}}
- {name: TOUGE_STORE, value: {{ include "touge.storeUri" $root | quote }}}
{{- with include "touge.storeEndpoint" $root }}
- {name: TOUGE_S3_ENDPOINT, value: {{ . | quote }}}
{{- end }}
{{- with ternary "us-east-1" $storage.region $storage.embedded.enabled }}
- {name: TOUGE_S3_REGION, value: {{ . | quote }}}
{{- end }}
{{- if or $storage.pathStyle $storage.embedded.enabled }}
- {name: TOUGE_S3_PATH_STYLE, value: "true"}
{{- end }}
{{- with include "touge.storeSecret" . }}
{{- $secret := . }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ . }}}}
{{- end }}
{{- end }}
{{- end }}
