{{/*
What a schema cannot say about values: one line a problem, with what to set. Each part prints nothing where all is well.
*/}}
{{- define "touge.problems" -}}
{{- range list "storage" "images" "accounts" "credentials" "placement" "cluster" "network" }}
{{- include (printf "touge.problems.%s" .) $ }}
{{- end }}
{{- end }}

{{- define "touge.problems.storage" -}}
{{- with .Values.storage }}
{{- if and .embedded.enabled (or .uri .endpoint .region .pathStyle .jobsSecret .controllerSecret (eq .credentials "identity")) }}
storage.embedded.enabled brings address and credentials of its own: remove the other values of storage
{{- else if and (not .embedded.enabled) (not .uri) }}
storage.uri is not set: set it to s3://bucket/prefix, or for a trial storage.embedded.enabled=true
{{- end }}
{{- if not .embedded.enabled }}
{{- range $name := list "jobsSecret" "controllerSecret" }}
{{- $given := index $.Values.storage $name }}
{{- if and (not $given) (eq $.Values.storage.credentials "secret") }}
storage.{{ $name }} is not set: name a Secret with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set storage.credentials=identity
{{- else if and $given (eq $.Values.storage.credentials "identity") }}
storage.{{ $name }} is not used with storage.credentials=identity: remove one of them
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "touge.problems.images" -}}
{{- range $name := list "controller" "curate" "train" "evaluate" }}
{{- $tag := (index $.Values.images $name).tag }}
{{- if and $tag (ne $tag $.Chart.AppVersion) (not (hasPrefix (printf "%s-" $.Chart.AppVersion) $tag)) }}
images.{{ $name }}.tag is {{ $tag }}, but this chart is of {{ $.Chart.AppVersion }}: leave it empty, or set one that begins with {{ $.Chart.AppVersion }}-
{{- end }}
{{- end }}
{{- end }}

{{- define "touge.problems.accounts" -}}
{{- range $who, $account := .Values.serviceAccounts }}
{{- if not (or $account.create $account.name) }}
serviceAccounts.{{ $who }}.name is not set: name the service account that is there, or set serviceAccounts.{{ $who }}.create=true
{{- else if and $account.annotations (not $account.create) }}
serviceAccounts.{{ $who }}.annotations are not used with create=false: set them on {{ $account.name }}, and remove them here
{{- end }}
{{- end }}
{{- end }}

{{/* Values end up in the release's record, so none may hold a credential. */}}
{{- define "touge.problems.credentials" -}}
{{- $settings := dict "jobs" .Values.jobs "controller" .Values.controller }}
{{- $settings = merge $settings .Values.methods .Values.stages }}
{{- range $where, $of := $settings }}
{{- range default list $of.env }}
{{- if and .value (regexMatch "(?i)(^|_)(token|secret|password|passwd|credentials?)(_|$)" .name) }}
env {{ .name }} of {{ $where }} holds its value in plain text: give it by valueFrom.secretKeyRef
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "touge.problems.placement" -}}
{{- range include "touge.templates" . | fromYamlArray }}
{{- if and .max (lt (int .max) (int .min)) }}
gpuMemory.max of {{ .name }} is {{ .max }}GB, less than the {{ .min }}GB that it needs: raise max or lower min
{{- else if and .settings.affinity .memory }}
affinity of {{ .name }} replaces what its gpuMemory would say: remove one of them
{{- else if and .gpu (not .settings.affinity) (not (include "touge.requiredTerms" (list $ .) | trim)) }}
placement.labels know no card with the {{ .min }}GB or more that {{ .name }} needs: add a family, or change its gpuMemory
{{- end }}
{{- end }}
{{- end }}

{{/* What is asked of the cluster must be there; offline, `--api-versions` says that it is. */}}
{{- define "touge.problems.cluster" -}}
{{- $apis := .Capabilities.APIVersions }}
{{- with include "touge.queues" . }}
{{- if not (or ($apis.Has "kueue.x-k8s.io/v1beta1") ($apis.Has "kueue.x-k8s.io/v1beta2")) }}
queue {{ . }} is named, but the cluster has no Kueue: install it or leave queue empty (offline: --api-versions kueue.x-k8s.io/v1beta1)
{{- end }}
{{- end }}
{{- with .Values.controller.metrics }}
{{- if and .serviceMonitor (not $.Values.controller.enabled) }}
controller.metrics.serviceMonitor needs controller.enabled=true: set it, or remove the monitor
{{- else if and .serviceMonitor (not ($apis.Has "monitoring.coreos.com/v1")) }}
controller.metrics.serviceMonitor is set, but the cluster has no Prometheus operator: install it or set it to false (offline: --api-versions monitoring.coreos.com/v1)
{{- end }}
{{- end }}
{{- if and .Values.placement.dynamicAllocation.enabled (semverCompare "<1.34-0" .Capabilities.KubeVersion.Version) }}
placement.dynamicAllocation needs Kubernetes 1.34, this is {{ .Capabilities.KubeVersion.Version }}: set it to enabled=false
{{- end }}
{{- end }}

{{- define "touge.problems.network" -}}
{{- with .Values.networkPolicy }}
{{- $found := or .store.cidrs .store.podSelector .store.namespaceSelector }}
{{- if and .enabled (not $found) (not $.Values.storage.embedded.enabled) }}
networkPolicy.store does not say where the bucket is: set cidrs, or podSelector and namespaceSelector
{{- end }}
{{- if and .enabled (not .apiServer.cidrs) }}
networkPolicy.apiServer.cidrs is not set: `kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes` shows the addresses
{{- end }}
{{- end }}
{{- end }}
