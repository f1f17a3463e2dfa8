{{/* GPU memory in, node affinity out: the terms of controller/placement/affinity.py, from the same table. */}}

{{- define "touge.placementTable" -}}
{{ .Files.Get "files/placement.yaml" }}
{{- end }}

{{/* The node labels of this cluster that tell memory, as a YAML list of the table's families or own labels. */}}
{{- define "touge.memoryLabels" -}}
{{- $families := (include "touge.placementTable" . | fromYaml).families }}
{{- range .Values.placement.labels }}
{{- if kindIs "string" . }}
- {{ get $families . | toJson }}
{{- else }}
- {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}

{{/* The affinity that one GPU of a template's memory demands: (list . template). */}}
{{- define "touge.gpuAffinity" -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      {{- include "touge.requiredTerms" . | trim | nindent 6 }}
  {{- with include "touge.preferredTerms" . | trim }}
  preferredDuringSchedulingIgnoredDuringExecution:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Alternatives that mean the same memory, one a label, so that a node pool scaled to zero is found too. */}}
{{- define "touge.requiredTerms" -}}
{{- $root := first . }}{{- $template := last . }}
{{- range $label := include "touge.memoryLabels" $root | fromYamlArray }}
{{- with include "touge.memoryWithin" (list $label $template.min $template.max) | fromYamlArray }}
- matchExpressions:
    {{- range concat . (include "touge.guards" (list $root $label) | fromYamlArray) }}
    - {{ toJson . }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
Towards the smallest card that fits, only where one label is named: Karpenter drops required alternatives before
preferences, and with several of each it never provisions.
*/}}
{{- define "touge.preferredTerms" -}}
{{- $root := first . }}{{- $min := (last .).min | int }}{{- $max := (last .).max | int }}
{{- $labels := include "touge.memoryLabels" $root | fromYamlArray }}{{- $weight := 100 }}
{{- range $size := (include "touge.placementTable" $root | fromYaml).cardSizes }}
{{- if and (eq (len $labels) 1) (ge (int $size) $min) (or (not $max) (lt (int $size) $max)) }}
{{- with include "touge.memoryWithin" (list (first $labels) $min $size) | fromYamlArray }}
- weight: {{ max 1 $weight }}
  preference: {matchExpressions: {{ toJson . }}}
{{- $weight = div $weight 2 }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
What a label must say, as a YAML list: (list label min max), decimal GB, a max of 0 is none. At least: rounded down to
the label's unit, for a card of 24 GB may state 22,888 MiB. At most: GB read as GiB, for a card of 80 GB may state
81,559 MiB. Kubernetes' Gt and Lt are strict.
*/}}
{{- define "touge.memoryWithin" -}}
{{- $label := index . 0 }}{{- $min := index . 1 | int64 }}{{- $max := index . 2 | int64 }}{{- $cards := list }}
{{- range $card, $memory := default dict $label.cards }}
{{- if and (ge (int64 $memory) $min) (or (not $max) (le (int64 $memory) $max)) }}
{{- $cards = append $cards $card }}
{{- end }}
{{- end }}
{{- if $cards }}
- {key: {{ $label.key }}, operator: In, values: {{ toJson $cards }}}
{{- else if not $label.cards }}
{{- $unit := int64 $label.bytesPerUnit }}
- {key: {{ $label.key }}, operator: Gt, values: ["{{ sub (div (mul $min 1000000000) $unit) 1 }}"]}
{{- if $max }}
- {key: {{ $label.key }}, operator: Lt, values: ["{{ add1 (div (mul $max 1073741824) $unit) }}"]}
{{- end }}
{{- end }}
{{- end }}

{{/* What must not be true of a node, as a YAML list: (list . label). */}}
{{- define "touge.guards" -}}
{{- $placement := (first .).Values.placement }}{{- $label := last . }}
{{- $table := include "touge.placementTable" (first .) | fromYaml }}{{- $older := list }}
{{- range $table.driver.branches }}
{{- if lt (int .) (int $placement.driver) }}
{{- $older = append $older (toString .) }}
{{- end }}
{{- end }}
{{- if not $placement.shared }}{{ toYaml $table.guards.shared | nindent 0 }}{{- end }}
{{- toYaml $table.guards.partitioned | nindent 0 }}
{{- if not $label.tellsSlices }}{{ toYaml $table.guards.sliced | nindent 0 }}{{- end }}
{{- if $older }}
- {key: {{ $table.driver.key }}, operator: NotIn, values: {{ toJson $older }}}
{{- end }}
{{- end }}

{{/* The platform's choices as the controller reads them (controller.placement.affinity.Placement): (list . template). */}}
{{- define "touge.placement" -}}
{{- $placement := (first .).Values.placement }}{{- $template := last . }}
{{- if $template.gpu -}}
labels: {{ toJson $placement.labels }}
gpuMemory: {{ toJson $template.memory }}
shared: {{ $placement.shared }}
driver: {{ ternary "null" (int $placement.driver) (eq 0 (int $placement.driver)) }}
resource: {{ $placement.resource }}
tolerations: {{ toJson $placement.tolerations }}
nodeSelector: {{ toJson $template.pool }}
{{- with $template.settings.affinity }}
affinity: {{ toJson . }}
{{- end }}
{{- if $placement.dynamicAllocation.enabled }}
dynamicAllocation: {{ omit $placement.dynamicAllocation "enabled" | toJson }}
{{- end }}
{{- end }}
{{- end }}
