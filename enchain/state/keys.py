"""The key space: the only place where a key is spelled.

Both planes and the engine SDK call it. `docs/keys.md` says what lies under each key. Every function is pure;
nothing here talks to a store.
"""

ROOT = "/enchain/v1/"

TABLE = f"{ROOT}table/"
ENGINES = f"{TABLE}engines/"
WORKLOADS = f"{TABLE}workloads/"
CHAINS = f"{TABLE}chains/"
ROUTES = f"{TABLE}routes/"
EXPERIMENTS = f"{TABLE}experiments/"
LAYERS = f"{TABLE}layers/"

LIVE = f"{ROOT}live/"
INSTANCES = f"{LIVE}instances/"
ROUTERS = f"{LIVE}routers/"
LEADER = f"{LIVE}leader/"

OPERATIONS = f"{ROOT}operations/"
RECORDS = f"{OPERATIONS}records/"
REQUESTS = f"{OPERATIONS}requests/"
ACTIVE = f"{OPERATIONS}active/"
OWNERS = f"{OPERATIONS}owners/"
SIGNALS = f"{OPERATIONS}signals/"
OUTBOX = f"{OPERATIONS}outbox/"

RESOURCES = f"{ROOT}resources/"
DECISIONS = f"{ROOT}decisions/"
EVENTS = f"{DECISIONS}events/"
POOLS = f"{DECISIONS}pools/"
LAUNCHES = f"{DECISIONS}launches/"
RECOMMENDATIONS = f"{DECISIONS}recommendations/"
RECOMMENDATION_INPUTS = f"{DECISIONS}recommendation-inputs/"
SWITCHES = f"{DECISIONS}switches/"
LEARNED = f"{ROOT}learned/"
PROFILES = f"{LEARNED}profiles/"
STARTS = f"{LEARNED}starts/"
REFUSED = f"{LEARNED}refused/"
FORECASTS = f"{LEARNED}forecasts/"
ACCURACY = f"{LEARNED}accuracy/"
FORECAST_JOBS = f"{LEARNED}jobs/"
FORECAST_REQUESTS = f"{LEARNED}job-requests/"
AUDIT = f"{ROOT}audit/"
EPOCH = f"{ROOT}epoch"


def engine(engine: str) -> str:
    """Key of an engine's document."""
    return f"{ENGINES}{engine}"


def workload(workload: str) -> str:
    """Key of a workload's document."""
    return f"{WORKLOADS}{workload}"


def chain(workload: str, chain: str, revision: str) -> str:
    """Key of one revision of a chain."""
    return f"{CHAINS}{workload}/{chain}/{revision}"


def chains_of(workload: str) -> str:
    """Prefix of all chain revisions of a workload."""
    return f"{CHAINS}{workload}/"


def revisions_of(workload: str, chain: str) -> str:
    """Prefix of all revisions of a chain."""
    return f"{CHAINS}{workload}/{chain}/"


def route(workload: str) -> str:
    """Key of a workload's route."""
    return f"{ROUTES}{workload}"


def instance(engine: str, instance: str) -> str:
    """Key of an engine instance's registration (leased)."""
    return f"{INSTANCES}{engine}/{instance}"


def router(router: str) -> str:
    """Key of a router's presence (leased)."""
    return f"{ROUTERS}{router}"


def leader(office: str) -> str:
    """Key of who holds an office, such as `controlplane` (leased); its create revision is the fence."""
    return f"{LEADER}{office}"


def record(tenant: str, operation: str) -> str:
    """Key of an operation's record."""
    return f"{RECORDS}{tenant}/{operation}"


def records_of(tenant: str) -> str:
    """Prefix of a tenant's operation records."""
    return f"{RECORDS}{tenant}/"


def request(tenant: str, request_id: str) -> str:
    """Key that binds a request id to its operation."""
    return f"{REQUESTS}{tenant}/{request_id}"


def active(operation: str) -> str:
    """Key that stands from an operation's admission to its end."""
    return f"{ACTIVE}{operation}"


def owner(operation: str) -> str:
    """Key of the router that runs an operation (leased); its create revision is the fencing token."""
    return f"{OWNERS}{operation}"


def signal(operation: str, kind: str) -> str:
    """Key of a signal (`cancel` or `retry`) to an operation's owner."""
    return f"{SIGNALS}{operation}/{kind}"


def signals_of(operation: str) -> str:
    """Prefix of the signals to an operation."""
    return f"{SIGNALS}{operation}/"


def outbox(operation: str) -> str:
    """Key of what an ended operation leaves for statistics."""
    return f"{OUTBOX}{operation}"


def resource(tenant: str, resource: str) -> str:
    """Key of a resource."""
    return f"{RESOURCES}{tenant}/{resource}"


def resources_of(tenant: str) -> str:
    """Prefix of a tenant's resources."""
    return f"{RESOURCES}{tenant}/"


def chain_switch(workload: str, switch: str) -> str:
    """Key of a chain switch."""
    return f"{SWITCHES}{workload}/{switch}"


def switches_of(workload: str) -> str:
    """Prefix of a workload's chain switches."""
    return f"{SWITCHES}{workload}/"


def switch_evidence_of(workload: str) -> str:
    """Prefix of how the newest provisions of a workload's chains went."""
    return f"{LEARNED}switch-evidence/{workload}/"


def learned(reader: str, subject: str) -> str:
    """Key of what a reader of the outbox has learned of a subject, such as a workload."""
    return f"{LEARNED}{reader}/{subject}"


def document(kind: str, subject: str) -> str:
    """Key of a document that routers follow, such as an experiment, by its path below all of its kind."""
    return f"{TABLE}{kind}/{subject}"


def refused(key: str) -> str:
    """Key under which a value that could not be folded is kept, by the key that it lay under."""
    place = key.removeprefix(OPERATIONS).removeprefix(LEARNED).removeprefix(ROOT)
    return f"{REFUSED}{place}"


def audit(record: str) -> str:
    """Key of an audit record; ULIDs, so that they sort by time."""
    return f"{AUDIT}{record}"


def parts(key: str, prefix: str) -> tuple[str, ...]:
    """Split what follows `prefix` in `key` at the slashes.

    Raises:
        ValueError: `key` does not lie under `prefix`.
    """
    if not key.startswith(prefix):
        raise ValueError(f"{key} does not lie under {prefix}")
    return tuple(key.removeprefix(prefix).split("/"))


def planned_event(workload: str, event: str) -> str:
    """Key of a planned event of a workload."""
    return f"{EVENTS}{workload}/{event}"


def planned_events_of(workload: str) -> str:
    """Prefix of a workload's planned events."""
    return f"{EVENTS}{workload}/"


def forecast(workload: str, forecast: str) -> str:
    """Key of the newest forecast of a signal on a grid, such as `cpu-5m`."""
    return f"{FORECASTS}{workload}/{forecast}"


def forecasts_of(workload: str) -> str:
    """Prefix of a workload's forecasts."""
    return f"{FORECASTS}{workload}/"


def accuracy(workload: str, forecast: str) -> str:
    """Key of how good the forecasts of a signal on a grid have been."""
    return f"{ACCURACY}{workload}/{forecast}"


def accuracy_of(workload: str) -> str:
    """Prefix of how good a workload's forecasts have been."""
    return f"{ACCURACY}{workload}/"


def forecast_request(request_id: str) -> str:
    """Key that binds a request id to the backtest or training that it began."""
    return f"{FORECAST_REQUESTS}{request_id}"


def forecast_job(job: str) -> str:
    """Key of a backtest or a training."""
    return f"{FORECAST_JOBS}{job}"


def pool(engine: str, version: str) -> str:
    """Key of how many instances of an engine version are wanted."""
    return f"{POOLS}{engine}/{version}"


def pools_of(engine: str) -> str:
    """Prefix of an engine's pools."""
    return f"{POOLS}{engine}/"


def launch(engine: str, launch: str) -> str:
    """Key of one start of an engine instance."""
    return f"{LAUNCHES}{engine}/{launch}"


def recommendation(workload: str, recommendation: str) -> str:
    """Key of a recommendation; ULIDs, so that they sort by time."""
    return f"{RECOMMENDATIONS}{workload}/{recommendation}"


def recommendations_of(workload: str) -> str:
    """Prefix of a workload's recommendations."""
    return f"{RECOMMENDATIONS}{workload}/"


def recommendation_inputs(workload: str, recommendation: str) -> str:
    """Key of what a recommendation rests on."""
    return f"{RECOMMENDATION_INPUTS}{workload}/{recommendation}"


def recommendation_inputs_of(workload: str) -> str:
    """Prefix of what a workload's recommendations rest on."""
    return f"{RECOMMENDATION_INPUTS}{workload}/"


def profiles_of(workload: str) -> str:
    """Prefix of what engines were measured to do for a workload."""
    return f"{PROFILES}{workload}/"


def starts(engine: str, version: str) -> str:
    """Key of how long instances of an engine version take to start."""
    return f"{STARTS}{engine}/{version}"


def experiment(workload: str, experiment: str) -> str:
    """Key of an experiment, which routers follow."""
    return f"{EXPERIMENTS}{workload}/{experiment}"


def experiments_of(workload: str) -> str:
    """Prefix of a workload's experiments."""
    return f"{EXPERIMENTS}{workload}/"


def layer(layer: str) -> str:
    """Key of who has which part of a layer."""
    return f"{LAYERS}{layer}"


def experiment_looks(workload: str, experiment: str) -> str:
    """Key of an experiment's analyses over time."""
    return f"{LEARNED}experiment-looks/{workload}/{experiment}"


def experiment_statistics_of(workload: str) -> str:
    """Prefix of what ended in the arms of a workload's experiments."""
    return f"{LEARNED}experiments/{workload}/"
