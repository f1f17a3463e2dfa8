{{/* What the roles may do, and who has them. */}}

{{/* Run records, and reading what became of them. */}}
{{- define "touge.submitterRules" -}}
- {apiGroups: [""], resources: [configmaps], verbs: [get, list, create, patch, delete]}
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/log], verbs: [get]}
- {apiGroups: [""], resources: [events], verbs: [list]}
- {apiGroups: [batch], resources: [jobs], verbs: [list]}
- {apiGroups: [batch], resources: [cronjobs], verbs: [list]}
{{- if include "touge.queues" . }}
- {apiGroups: [kueue.x-k8s.io], resources: [workloads], verbs: [list]}
- {apiGroups: [kueue.x-k8s.io], resources: [localqueues], verbs: [get]}
{{- end }}
{{- end }}

{{/* Jobs besides, the Service by which the pods of one training find one another, and what a controller watches. */}}
{{- define "touge.runnerRules" -}}
- {apiGroups: [batch], resources: [jobs], verbs: [get, watch, create, delete]}
- {apiGroups: [""], resources: [pods], verbs: [watch, delete]}
- {apiGroups: [""], resources: [configmaps], verbs: [watch]}
- {apiGroups: [""], resources: [services], verbs: [get, create, delete]}
{{- if .Values.placement.dynamicAllocation.enabled }}
- {apiGroups: [resource.k8s.io], resources: [resourceclaimtemplates], verbs: [get, create, delete]}
{{- end }}
{{- end }}

{{/* Who has a role: (list . submitter|runner). */}}
{{- define "touge.subjects" -}}
{{- $root := first . }}
{{- if eq (last .) "runner" }}
- kind: ServiceAccount
  name: {{ include "touge.serviceAccountName" (list $root "controller") }}
  namespace: {{ $root.Release.Namespace }}
{{- end }}
{{- range index $root.Values.rbac.subjects (last .) }}
- kind: {{ .kind }}
  name: {{ .name }}
  {{- if eq .kind "ServiceAccount" }}
  namespace: {{ default $root.Release.Namespace .namespace }}
  {{- else }}
  apiGroup: rbac.authorization.k8s.io
  {{- end }}
{{- end }}
{{- end }}

{{/* Queues that the templates name, separated by blanks. */}}
{{- define "touge.queues" -}}
{{- $queues := list }}
{{- range include "touge.templates" . | fromYamlArray }}
{{- $queues = append $queues .settings.queue }}
{{- end }}
{{- $queues | compact | uniq | join " " }}
{{- end }}
