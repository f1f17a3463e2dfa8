{{/* The Job templates: which there are, and what a stage's pod looks like. */}}

{{/*
Every Job template as a YAML list of {name, module, image, settings, pool, gpu, memory, min, max}. `settings` are those
of all stages, overridden by the stage's or method's own; `pool` is its own node selector; `memory` holds the bounds
that values give, decimal GB, and `min` and `max` those that hold.
*/}}
{{- define "touge.templates" -}}
{{- $methods := (include "touge.placementTable" . | fromYaml).methods }}
{{- $curate := dict "name" "curate" "module" "touge.curation" "image" "curate" }}
{{- include "touge.template" (list . $curate .Values.stages.curate 0) }}
{{- range $method, $own := .Values.methods }}
{{- $train := dict "name" (printf "train-%s" $method) "module" "touge.training" "image" "train" }}
{{- include "touge.template" (list $ $train $own (index $methods $method).gpuMemory) }}
{{- end }}
{{- /* Until a recipe is there: scoring holds the model as LoRA does. */}}
{{- $evaluate := dict "name" "evaluate" "module" "touge.evaluation" "image" "evaluate" }}
{{- include "touge.template" (list . $evaluate .Values.stages.evaluate $methods.lora.gpuMemory) }}
{{- end }}

{{/* One of them as an item of that list: (list . names own gigabytes); no gigabytes, no GPU. */}}
{{- define "touge.template" -}}
{{- $root := index . 0 }}{{- $names := index . 1 }}{{- $own := index . 2 }}{{- $usual := index . 3 }}{{- $memory := dict }}
{{- range $bound, $size := default dict $own.gpuMemory }}
{{- with $size }}{{- $_ := set $memory $bound (trimSuffix "GB" . | int) }}{{- end }}
{{- end }}
{{- $more := dict
  "settings" (mergeOverwrite (deepCopy $root.Values.jobs) (deepCopy $own))
  "pool" (default dict $own.nodeSelector)
  "gpu" (gt (int $usual) 0)
  "memory" $memory
  "min" (default $usual $memory.min)
  "max" (default 0 $memory.max) }}
- {{ merge $more $names | toJson }}
{{- end }}

{{/* A suspended CronJob, whose jobTemplate is what the controller makes Jobs of: (list . template). */}}
{{- define "touge.jobTemplate" -}}
{{- $root := first . }}{{- $template := last . -}}
apiVersion: batch/v1
kind: CronJob
metadata:
  {{- include "touge.metadata" (list $root $template.name) | nindent 2 }}
    {{- include "touge.runLabels" . | nindent 4 }}
  annotations:
    argocd.argoproj.io/ignore-healthcheck: "true"
    {{- with (index $root.Values.images $template.image).codeDigest }}
    touge/code-digest: {{ . | quote }}
    {{- end }}
spec:
  schedule: "0 0 31 2 *" # the 31st of February: never
  suspend: true
  concurrencyPolicy: Forbid
  jobTemplate:
    metadata:
      labels:
        {{- include "touge.jobLabels" . | nindent 8 }}
        {{- with $template.settings.queue }}
        kueue.x-k8s.io/queue-name: {{ . }}
        {{- end }}
      annotations:
        touge/placement: {{ include "touge.placement" . | fromYaml | toJson | squote }}
    spec:
      backoffLimit: 0
      podReplacementPolicy: Failed
      template:
        metadata:
          labels:
            {{- include "touge.stagePodLabels" . | nindent 12 }}
          {{- with include "touge.stageAnnotations" . | fromYaml }}
          annotations:
            {{- toYaml . | nindent 12 }}
          {{- end }}
        spec:
          {{- include "touge.stagePod" . | nindent 10 }}
{{- end }}

{{- define "touge.stageAnnotations" -}}
{{- $root := first . }}{{- $template := last . }}
{{- if and $template.gpu $root.Values.disruption.protect }}
karpenter.sh/do-not-disrupt: "true"
cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
{{- end }}
{{- with $template.settings.annotations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the platform decides about a stage's pod; the controller adds plan, attempt and caches. */}}
{{- define "touge.stagePod" -}}
{{- $root := first . }}{{- $template := last . }}{{- $settings := $template.settings -}}
restartPolicy: Never
terminationGracePeriodSeconds: {{ int64 $settings.gracePeriodSeconds }}
{{ include "touge.podIdentity" (list $root "jobs") }}
{{- include "touge.scheduling" (include "touge.stageScheduling" . | fromYaml) }}
containers:
  - name: stage
    image: {{ include "touge.image" (list $root (index $root.Values.images $template.image)) }}
    imagePullPolicy: {{ $root.Values.images.pullPolicy }}
    command: [python, -m, {{ $template.module }}]
    env:
      {{- include "touge.accessEnv" (list $root "jobs") | nindent 6 }}
      {{- with $settings.env }}{{- toYaml . | nindent 6 }}{{- end }}
    resources:
      {{- include "touge.stageResources" . | nindent 6 }}
    securityContext:
      {{- include "touge.containerSecurity" $root | nindent 6 }}
    volumeMounts:
      - {name: scratch, mountPath: /scratch, subPath: scratch}
      - {name: scratch, mountPath: /cache, subPath: cache}
      - {name: scratch, mountPath: /tmp, subPath: tmp}
      - {name: shared-memory, mountPath: /dev/shm}
      {{- with include "touge.caMounts" $root }}{{- . | nindent 6 }}{{- end }}
      {{- with $settings.volumeMounts }}{{- toYaml . | nindent 6 }}{{- end }}
volumes:
  - name: scratch
    {{- include "touge.scratch" $settings.scratch | nindent 4 }}
  - {name: shared-memory, emptyDir: {medium: Memory, sizeLimit: {{ $settings.sharedMemory }}}}
  {{- with include "touge.caVolumes" $root }}{{- . | nindent 2 }}{{- end }}
  {{- with $settings.volumes }}{{- toYaml . | nindent 2 }}{{- end }}
{{- end }}

{{/* A stage's settings, with what a GPU demands of the node and what its taints ask for. */}}
{{- define "touge.stageScheduling" -}}
{{- $root := first . }}{{- $template := last . }}{{- $settings := deepCopy $template.settings }}
{{- if $template.gpu }}
{{- $_ := concat $root.Values.placement.tolerations $settings.tolerations | set $settings "tolerations" }}
{{- if not (or $settings.affinity $root.Values.placement.dynamicAllocation.enabled) }}
{{- $_ := include "touge.gpuAffinity" . | fromYaml | set $settings "affinity" }}
{{- end }}
{{- end }}
{{- toYaml $settings }}
{{- end }}

{{/* A stage's resources with one GPU; claimed GPUs are the controller's to add. */}}
{{- define "touge.stageResources" -}}
{{- $placement := (first .).Values.placement }}{{- $template := last . }}{{- $gpu := dict }}
{{- if and $template.gpu (not $placement.dynamicAllocation.enabled) }}
{{- $gpu = dict "limits" (dict $placement.resource "1") }}
{{- end }}
{{- toYaml (mergeOverwrite (deepCopy $template.settings.resources) $gpu) }}
{{- end }}

{{/* Frames, the model and caches: on the node, or on a claim that lives as long as the pod. */}}
{{- define "touge.scratch" -}}
{{- if .storageClass -}}
ephemeral:
  volumeClaimTemplate:
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: {{ .storageClass }}
      resources: {requests: {storage: {{ .size }}}}
{{- else -}}
emptyDir: {sizeLimit: {{ .size }}}
{{- end }}
{{- end }}
