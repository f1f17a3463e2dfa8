{{/* Names, labels and images. A helper of more than the root takes (list . argument…). */}}

{{/* First part of every name; 40 leaves room for the longest suffix within a CronJob's 52. */}}
{{- define "touge.fullname" -}}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- default $own .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{/* Name, namespace and labels of one of the chart's objects: (list . component). */}}
{{- define "touge.metadata" -}}
name: {{ include "touge.fullname" (first .) }}-{{ last . }}
namespace: {{ (first .).Release.Namespace }}
labels:
  {{- include "touge.labels" . | nindent 2 }}
{{- end }}

{{- define "touge.labels" -}}
{{- $root := first . -}}
{{ include "touge.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What never changes about the pods of a component: (list . component). */}}
{{- define "touge.selector" -}}
app.kubernetes.io/name: {{ (first .).Chart.Name }}
app.kubernetes.io/instance: {{ (first .).Release.Name }}
app.kubernetes.io/component: {{ last . }}
{{- end }}

{{/*
By which the controller finds a template, and policies a run's pods: (list . template). Without the labels by which
Helm and Argo CD know their own objects, for Argo CD would remove a run's Job that carried those.
*/}}
{{- define "touge.runLabels" -}}
touge/release: {{ (first .).Release.Name }}
touge/template: {{ (last .).name }}
{{- end }}

{{/* Labels of a run's Jobs: (list . template). */}}
{{- define "touge.jobLabels" -}}
{{ merge (include "touge.runLabels" . | fromYaml) (first .).Values.commonLabels | toYaml }}
{{- end }}

{{/* The same for their pods, with those of the stage's settings. */}}
{{- define "touge.stagePodLabels" -}}
{{ mergeOverwrite (include "touge.jobLabels" . | fromYaml) (last .).settings.labels | toYaml }}
{{- end }}

{{/* (list . image): the digest where one is given, else the tag, else the chart's version. */}}
{{- define "touge.image" -}}
{{- $root := first . }}{{- $image := last . -}}
{{- $repository := list $root.Values.global.imageRegistry $image.repository | compact | join "/" -}}
{{- with $image.digest -}}
{{ $repository }}@{{ . }}
{{- else -}}
{{ $repository }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end }}
{{- end }}

{{/* (list . controller|jobs) */}}
{{- define "touge.serviceAccountName" -}}
{{- $account := index (first .).Values.serviceAccounts (last .) -}}
{{- default (printf "%s-%s" (include "touge.fullname" (first .)) (last .)) $account.name -}}
{{- end }}
