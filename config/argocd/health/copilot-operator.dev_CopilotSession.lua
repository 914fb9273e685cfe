-- Health of a CopilotSession for Argo CD: the first case that holds decides, and its condition's message is told.
local function condition(name)
  for _, found in ipairs((obj.status or {}).conditions or {}) do
    if found.type == name then
      return found
    end
  end
  return {}
end

local function health(status, found)
  return { status = status, message = found.message or "The operator has not looked at it yet." }
end

local ready = condition("Ready")
local reconciling = condition("Reconciling")
local stalled = condition("Stalled")

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "The session is being deleted." }
end
-- What stands in the status is about another spec.
if ready.status == nil or (obj.status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return health("Progressing", {})
end
if stalled.status == "True" then
  return health("Degraded", stalled)
end
-- Data that went without the operator having deleted it.
if ready.reason == "SessionLost" then
  return health("Degraded", ready)
end
if ready.reason == "TenantSuspended" then
  return health("Suspended", ready)
end
if reconciling.status == "True" then
  return health("Progressing", reconciling)
end
-- Not Reconciling: its tenant was scaled to zero, or its server away. It waits for somebody to raise spec.replicas.
if ready.reason == "TenantUnavailable" then
  return health("Suspended", ready)
end
-- An expired session is not Ready, and it did what it was told.
if ready.status == "True" or ready.reason == "SessionExpired" then
  return health("Healthy", ready)
end
return health("Progressing", ready)
