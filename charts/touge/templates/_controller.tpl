{{/* Pods that run `python -m controller`: the operator, retraining, `helm test`. */}}

{{/* A pod's labels: (list . component). */}}
{{- define "touge.controllerLabels" -}}
{{- $values := (first .).Values -}}
{{ merge (include "touge.selector" . | fromYaml) $values.controller.labels $values.commonLabels | toYaml }}
{{- end }}

{{/* A pod's spec with one container, whose arguments are those of the command line: (list . arguments more). */}}
{{- define "touge.controllerPod" -}}
{{- $root := index . 0 }}{{- $arguments := index . 1 }}{{- $more := index . 2 }}
{{- $settings := $root.Values.controller -}}
{{ include "touge.podIdentity" (list $root "controller") }}
{{- include "touge.scheduling" $settings }}
containers:
  - name: controller
    image: {{ include "touge.image" (list $root $root.Values.images.controller) }}
    imagePullPolicy: {{ $root.Values.images.pullPolicy }}
    command: [python, -m, controller]
    args: {{ toJson $arguments }}
    env:
      {{- include "touge.controllerEnv" $root | nindent 6 }}
    {{- with $more.container }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    resources:
      {{- toYaml $settings.resources | nindent 6 }}
    securityContext:
      {{- include "touge.containerSecurity" $root | nindent 6 }}
    volumeMounts:
      - {name: scratch, mountPath: /tmp}
      {{- with include "touge.caMounts" $root }}{{- . | nindent 6 }}{{- end }}
      {{- with $more.mounts }}{{- toYaml . | nindent 6 }}{{- end }}
volumes:
  - {name: scratch, emptyDir: {sizeLimit: 1Gi}}
  {{- with include "touge.caVolumes" $root }}{{- . | nindent 2 }}{{- end }}
  {{- with $more.volumes }}{{- toYaml . | nindent 2 }}{{- end }}
{{- end }}

{{- define "touge.controllerEnv" -}}
- {name: TOUGE_RUNNER, value: kubernetes}
- {name: TOUGE_RELEASE, value: {{ .Release.Name }}}
- name: TOUGE_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
- {name: TOUGE_HOME, value: /tmp/touge}
- {name: HOME, value: /tmp}
{{ include "touge.accessEnv" (list . "controller") }}
{{- with .Values.controller.env }}
{{ toYaml . }}
{{- end }}
{{- end }}
