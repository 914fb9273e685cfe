-- Health of a CopilotSession for Argo CD: the first case that matches decides, with the message of its condition.
local function condition(name)
  for _, found in ipairs((obj.status or {}).conditions or {}) do
    if found.type == name then
      return found
    end
  end
  return {}
end

local function health(status, found)
  return { status = status, message = found.message or "Waiting for the operator to reconcile it." }
end

local ready = condition("Ready")
local reconciling = condition("Reconciling")
local stalled = condition("Stalled")

if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "The session is being deleted." }
end
-- The status is of an earlier spec.
if ready.status == nil or (obj.status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return health("Progressing", {})
end
if stalled.status == "True" then
  return health("Degraded", stalled)
end
-- Its data is missing, and the operator did not delete it.
if ready.reason == "SessionLost" then
  return health("Degraded", ready)
end
if ready.reason == "TenantSuspended" then
  return health("Suspended", ready)
end
if reconciling.status == "True" then
  return health("Progressing", reconciling)
end
-- Not Reconciling: its tenant was scaled to zero, or its server was scaled down, until a user raises spec.replicas.
if ready.reason == "TenantUnavailable" then
  return health("Suspended", ready)
end
-- The first call about it wakes the tenant.
if ready.reason == "TenantHibernated" then
  return health("Healthy", ready)
end
-- An expired session is not Ready, as its spec says.
if ready.status == "True" or ready.reason == "SessionExpired" then
  return health("Healthy", ready)
end
return health("Progressing", ready)
