{{/* Name of the objects of this release. */}}
{{- define "copilot-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "copilot-operator.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "copilot-operator.fullname" .) -}}
{{- end -}}

{{/*
Labels of the operator's pods. The name is fixed: the NetworkPolicies of the tenants allow pods of this name, so that
the operator can ping the servers.
*/}}
{{- define "copilot-operator.selectorLabels" -}}
app.kubernetes.io/name: copilot-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "copilot-operator.labels" -}}
{{ include "copilot-operator.selectorLabels" . }}
{{ include "copilot-operator.commonLabels" . }}
{{- end -}}

{{- define "copilot-operator.commonLabels" -}}
app.kubernetes.io/part-of: copilot-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "copilot-operator.image" -}}
{{- $repository := required "image.repository is not set: name the operator image. None is published; build and push it with: make images CLUSTER=current IMAGE_REGISTRY=<registry>" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "copilot-operator.serverImage" -}}
{{- required "serverImage is not set: name the Copilot CLI server image. None is published; build and push it with: make images CLUSTER=current IMAGE_REGISTRY=<registry>" .Values.serverImage -}}
{{- end -}}

{{/* Name of the gateway's objects: copilot-gateway beside copilot-operator. */}}
{{- define "copilot-operator.gatewayName" -}}
{{- $name := include "copilot-operator.fullname" . -}}
{{- if contains "copilot-operator" $name -}}
{{- $name | replace "copilot-operator" "copilot-gateway" -}}
{{- else -}}
{{- printf "%s-gateway" $name -}}
{{- end -}}
{{- end -}}

{{- define "copilot-operator.gatewayServiceAccountName" -}}
{{- .Values.gateway.serviceAccount.name | default (include "copilot-operator.gatewayName" .) -}}
{{- end -}}

{{/* Where clients connect to, as HOST:PORT: what the operator writes to the binding Secrets of tenants. */}}
{{- define "copilot-operator.gatewayAddress" -}}
{{- .Values.gateway.address | default (printf "%s.%s.svc:4321" (include "copilot-operator.gatewayName" .) .Release.Namespace) -}}
{{- end -}}

{{/* Labels of the gateway's pods. The name is fixed: the NetworkPolicies of the tenants allow pods of this name to connect to servers. */}}
{{- define "copilot-operator.gatewaySelectorLabels" -}}
app.kubernetes.io/name: copilot-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "copilot-operator.gatewayLabels" -}}
{{ include "copilot-operator.gatewaySelectorLabels" . }}
{{ include "copilot-operator.commonLabels" . }}
{{- end -}}
