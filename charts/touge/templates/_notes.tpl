{{/* What an install tells people: its templates, and what it found that they should look at. */}}

{{- define "touge.templateNames" -}}
{{- $names := list }}
{{- range include "touge.templates" . | fromYamlArray }}
{{- $names = append $names .name }}
{{- end }}
{{- join ", " $names }}
{{- end }}

{{/* One line a finding; nothing that needs the cluster is said offline. */}}
{{- define "touge.findings" -}}
{{- if .Values.storage.embedded.enabled }}
the embedded store is for trials: controller and stages share one credential, and no copy is kept
{{- end }}
{{- if not .Values.networkPolicy.enabled }}
networkPolicy.enabled is false: the pods may reach whatever the cluster allows
{{- end }}
{{- with include "touge.undigested" . }}
no images.*.codeDigest of {{ . }}: only a stage that starts can tell whether its code is the planner's
{{- end }}
{{- if lookup "v1" "ServiceAccount" .Release.Namespace "default" }}
{{- include "touge.missing" . }}
{{- end }}
{{- end }}

{{- define "touge.undigested" -}}
{{- $names := list }}
{{- range $name := list "curate" "train" "evaluate" }}
{{- if not (index $.Values.images $name).codeDigest }}{{ $names = append $names $name }}{{ end }}
{{- end }}
{{- join ", " $names }}
{{- end }}

{{/* Secrets and ConfigMaps that the values name and the namespace does not have. */}}
{{- define "touge.missing" -}}
{{- $storage := .Values.storage }}
{{- $secrets := concat (list $storage.jobsSecret $storage.controllerSecret .Values.hub.tokenSecret) .Values.images.pullSecrets }}
{{- range $secrets | compact | uniq }}
{{- if not (lookup "v1" "Secret" $.Release.Namespace .) }}
Secret {{ . }} is not in {{ $.Release.Namespace }}: pods wait for it
{{- end }}
{{- end }}
{{- $recipe := ternary .Values.retrain.configMap "" (not (not .Values.retrain.schedule)) }}
{{- range list .Values.caBundle.configMap $recipe | compact }}
{{- if not (lookup "v1" "ConfigMap" $.Release.Namespace .) }}
ConfigMap {{ . }} is not in {{ $.Release.Namespace }}: pods wait for it
{{- end }}
{{- end }}
{{- end }}
