{{/* Name of all objects. 50 characters leave room for suffixes within the 63 of a Service's name. */}}
{{- define "trainingjob-operator.fullname" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{/* Name of objects of the cluster: releases in two namespaces may have the same name. */}}
{{- define "trainingjob-operator.clusterName" -}}
{{- printf "%s-%s" (include "trainingjob-operator.fullname" .) .Release.Namespace -}}
{{- end }}

{{- define "trainingjob-operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "trainingjob-operator.fullname" .) -}}
{{- end }}

{{/* What selects the operator's pods. Immutable in a Deployment: never add to it. */}}
{{- define "trainingjob-operator.selectorLabels" -}}
app.kubernetes.io/name: trainingjob-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "trainingjob-operator.labels" -}}
{{ include "trainingjob-operator.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: trainingjob
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image: call it with (dict "image" .Values.image "root" $). Empty without a repository. */}}
{{- define "trainingjob-operator.image" -}}
{{- with .image.repository -}}
{{ . }}:{{ $.image.tag | default $.root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The ServiceAccount as the subject of a binding. */}}
{{- define "trainingjob-operator.subject" -}}
- kind: ServiceAccount
  name: {{ include "trainingjob-operator.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end }}

{{/* What the operator may do where it runs jobs: in every namespace, or in each of watchNamespaces. */}}
{{- define "trainingjob-operator.jobRules" -}}
- apiGroups: [trainingjob.dev]
  resources: [trainingjobs]
  verbs:
    - list # at the start, and after a watch that broke: which jobs are there
    - watch # what changes
    - get # a job afresh, after a status write that was refused because the job had changed
    - delete # a finished job, when its own ttlSecondsAfterFinished is over
- apiGroups: [trainingjob.dev]
  resources: [trainingjobs/status]
  verbs:
    - update # the status; spec and metadata can't be written, nor jobs made
- apiGroups: [""]
  resources: [pods]
  verbs:
    - list # the members of all jobs, by label, at the start
    - watch # how they fare
    - get # a pod whose name was taken on create, or that reports and is not in the cache yet: whose is it
    - create # members
    - delete # members of finished and suspended jobs, and those that a new incarnation replaces
- apiGroups: [""]
  resources: [services]
  verbs:
    - create # the headless Service that leads to a job's chief; it goes with its job, by ownerReference
    - get # whose it is, when the name is taken
    - patch # its selector, when the chief has waited for its address for long
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs:
    - create # where that Service leads: the chief's address
    - get # whose it is, when the name is taken
    - patch # the address, when the chief has a new pod
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices/restricted]
  verbs:
    - create # asked by OpenShift of whoever names the address of a pod in a slice
- apiGroups: [""]
  resources: [configmaps]
  verbs:
    - create # the launcher for images that don't hold it, one per namespace; none is ever read, changed or deleted
- apiGroups: [""]
  resources: [events]
  verbs:
    - create # an event for each change of a job's phase
{{- end }}
