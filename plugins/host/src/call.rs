//! One call of a plugin in a fresh instance, inside its bounds.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{
    PoolConcurrencyLimitError, Store, Trap,
    component::{ComponentExportIndex, InstancePre, types::ComponentItem},
};

use crate::{
    Hook, PluginError,
    contract::{Context, WitAddition, WitContext, WitRefusal, WitVerdict},
    enrichment,
    host_function::{Allowance, Questioned},
    limiter::{CallLimiter, LimitReached},
    output,
    plugin::Identity,
    turn::{self, Turns},
    verdict::Verdict,
};

/// What a verdict may carry beside a body, in bytes.
const VERDICT_OVERHEAD: usize = 16 << 10;

/// What host functions see of a call.
#[derive(Debug)]
pub struct CallState {
    pub plugin: Arc<Identity>,
    pub allowance: Allowance,
    pub questioned: Questioned,
    pub traceparent: Option<Box<str>>,
    pub turns: Turns,
    limiter: CallLimiter,
}

type Parameters<'a> = (WitContext<'a>, &'a [u8]);
type Results = (WitVerdict,);
type Enriched = (Result<Vec<WitAddition>, WitRefusal>,);

/// Finds a hook's function and compares its type with the contract's, without running anything. None where the
/// component doesn't export it.
pub fn find(
    component: &InstancePre<CallState>,
    hook: Hook,
) -> wasmtime::Result<Option<ComponentExportIndex>> {
    let compiled = component.component();
    let Some(interface) = compiled.get_export_index(None, hook.interface()) else {
        return Ok(None);
    };
    let Some((item, index)) = compiled.get_export(Some(&interface), hook.function()) else {
        return Ok(None);
    };
    let ComponentItem::ComponentFunc(function) = item else {
        return Ok(None);
    };
    match hook {
        Hook::Request | Hook::Response | Hook::Transform => {
            function.typecheck::<Parameters<'_>, Results>(&component.instance_type())?;
        }
        Hook::Enrich => function.typecheck::<Parameters<'_>, Enriched>(&component.instance_type())?,
    }
    Ok(Some(index))
}

/// Calls `function` of a fresh instance, in turns since `begun`. Dropped before it is done, it ends the guest.
pub async fn call(
    component: &InstancePre<CallState>,
    function: &ComponentExportIndex,
    plugin: &Arc<Identity>,
    begun: Instant,
    (hook, context, body): (Hook, &Context<'_>, &[u8]),
) -> Result<Verdict, PluginError> {
    let (engine, limits) = (&plugin.engine, plugin.limits);
    let state = CallState {
        plugin: plugin.clone(),
        allowance: Allowance::default(),
        questioned: if plugin.asks { Questioned::Unread(body.to_vec()) } else { Questioned::Never },
        traceparent: context.traceparent.filter(|_| plugin.logs).map(Box::from),
        turns: Turns::new(begun, Duration::from_millis(limits.deadline_ms().into())),
        limiter: CallLimiter::new(limits.memory_bytes()),
    };
    let mut store = Store::new(engine.wasm(), state);
    store.limiter(|state| &mut state.limiter);
    store.epoch_deadline_callback(turn::ended);
    store.set_epoch_deadline(turn::FIRST);
    engine.used();
    store.set_hostcall_fuel(limits.output_bytes().saturating_add(VERDICT_OVERHEAD));

    let parameters = (WitContext::new(hook, context), body);
    let result = async {
        let instance = component.instantiate_async(&mut store).await?;
        Ok(match hook {
            Hook::Request | Hook::Response | Hook::Transform => {
                let function = instance.get_typed_func::<Parameters<'_>, Results>(&mut store, function)?;
                Given::Verdict(function.call_async(&mut store, parameters).await?.0)
            }
            Hook::Enrich => {
                let function = instance.get_typed_func::<Parameters<'_>, Enriched>(&mut store, function)?;
                match function.call_async(&mut store, parameters).await? {
                    (Ok(additions),) => Given::Additions(additions),
                    (Err(refusal),) => Given::Verdict(WitVerdict::Refuse(refusal)),
                }
            }
        })
    };
    let result = result.await;
    plugin.standing.tally.held(store.data().limiter.held());
    let given = result.map_err(|error| failure(plugin, &error))?;
    // What comes now may take its time: the instance's slot is free for the next call.
    drop(store);
    let made = match given {
        Given::Verdict(WitVerdict::Pass) => None,
        Given::Verdict(WitVerdict::Replace(made)) => Some(made),
        Given::Verdict(WitVerdict::Refuse(refusal)) => return Ok(Verdict::Refuse(refusal.into())),
        Given::Additions(additions) => enrichment::apply(body, &additions)
            .map_err(|cause| PluginError::Addition { plugin: plugin.name.clone(), cause })?,
    };
    let Some(made) = made else { return Ok(Verdict::Pass) };
    let made = output::checked(&plugin.name, limits, context.content_type, made)?;
    if hook == Hook::Transform {
        output::check_same(&plugin.name, body, &made)?;
    }
    Ok(Verdict::Replace(made))
}

/// What a hook gave.
enum Given {
    Verdict(WitVerdict),
    Additions(Vec<WitAddition>),
}

fn failure(identity: &Identity, error: &wasmtime::Error) -> PluginError {
    let (plugin, limits) = (identity.name.clone(), identity.limits);
    if error.is::<PoolConcurrencyLimitError>() {
        return PluginError::Busy { plugin };
    }
    if error.downcast_ref::<LimitReached>() == Some(&LimitReached::Memory) {
        return PluginError::Memory { plugin, limit_mib: limits.memory_mib() };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => PluginError::Deadline { plugin, deadline_ms: limits.deadline_ms() },
        Some(Trap::StackOverflow) => PluginError::Stack { plugin },
        Some(Trap::UnreachableCodeReached) => PluginError::Trap {
            plugin,
            cause: "it panicked or reached code that it says can't be reached".to_owned(),
        },
        Some(trap) => {
            let words = trap.to_string();
            PluginError::Trap { plugin, cause: words.trim_start_matches("wasm trap: ").to_owned() }
        }
        None => {
            let cause = error.root_cause().to_string();
            // The engine stops an oversize copy before it is made, and gives that error no public type.
            if cause.contains("fuel allocated for hostcalls") {
                return PluginError::OutputTooLarge { plugin, limit: limits.output_bytes() };
            }
            PluginError::Trap { plugin, cause }
        }
    }
}
