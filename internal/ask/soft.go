package ask

import "regexp"

// fillers are more of stopWords: words that carry nothing: of grammar, of politeness, of asking.
const fillers = ` because since though although while whilst lately soon soonest lot lots bunch many few several various certain particular specific
	specifically actually basically really seem seems seemed appear appears exist exists existing never always usually normally typically generally
	sometimes occasionally frequently regularly constantly maybe perhaps probably likely both either neither entire entirely complete completely kindly
	quickly respectively presently nowadays anymore further furthermore however therefore thus hence else instead otherwise apart away before
	after above below upon via through throughout around along among amongst toward towards beside near nearby nearly almost even rather pretty
	fairly too enough less fewer fewest whether whichever whatever whoever wherever whenever let's lets i'd i'm i've want wanna gonna gotta wish wonder wondering
	curious interested mean means meaning ask asking question check checking determine identify figure figures calculate compute estimate view provide
	breakdown broken-down split segmented summarize summary snapshot details detail detailed insight stats statistics behaviour behavior situation
	shape look-like across-all it's that's there's i you he she im everyone everybody somewhere anywhere whose which's fleet estate infra infrastructure
	environment-wide cluster-wide clusterwide fleetwide platform-wide wise ones' guys folks team hello morning afternoon evening tonight meanwhile
	basis amounts numbers counts totals overview's ratio's kinds sorts types typical usual particular's up-to-date latest own
	still-running already yet anyway btw asap fyi plus fact case cases order terms term's respect regard regards compared-to relative versus-the
	bit tad slightly significantly heavily badly poorly seriously suddenly sharply somewhat unusually abnormally way ways far-off went gone marked flagged point nobody noone nowhere split divided respectively please could'you wise pace speed moving add adds adding among amongst given rest portion i.e e.g w/ etc current's out-of plus worth`

// soft are verbs and adjectives that ask how things are: a metric may be named with them
// and need not be.
var soft = set(`pinned sitting sit sits stands keep keeps kept start starts started starting begin began begins stop stops stopped try trying tried experience experiencing experienced
	suffer suffering suffers see sees seeing seen face facing encounter encountering encountered observe observed notice noticed record recorded report
	reported reporting register occur occurred occurring occurs take takes took taken need needs require requires required handle handled handling handles
	process processed processing processes perform performed performing execute executed executing provide provided contain contains containing belong belongs
	receive receives received receiving accept accepts accepted show showing shown exhibit exhibiting produce produces produced producing generate generated
	generating create created creating make makes send sends sent sending deliver delivered delivering arrive arrived arriving enter entered leave leaves left
	consume consumes consumed consuming allocate allocated allocating reserve reserved reserving assign assigned store stored stores storing live alive
	active total cumulative individual single separate own average typical overall combined aggregate aggregated unique distinct whole remaining
	increase increased increasing increases grow grows grew growing grown rise rises rose rising drop dropping fall falls fell falling decrease decreased decreasing
	change changed changes changing spike spikes spiking spiked jump jumped fluctuate fluctuating varied vary varies climb climbing climbed shrink shrinking shrank
	run runs ran running serve serves served serving work works worked working stay stays stayed sit sits sitting sat stand stands
	good bad healthy unhealthy normal abnormal slow fast quick busy idle full empty free available unavailable open closed
	peak peaked peaks reach reached reaches reaching hit hits cross crossed crossing exceed exceeded exceeding breach breached breaching
	operate operating operated respond responds responded responding return returned returns fire firing fired fires
	occupy occupies occupied taken dying dies die died dead lose loses lost gain gained end ending ends lack lacking till inside exited exit attempt attempts attempted wait waits waited waiting pass passed passes passing miss missed finish finished finishing complete completed completing ended`)

// reAgents asks for persons: no metric knows who did something.
var reAgents = regexp.MustCompile(`\bwho(?: (?:has|had|have|just|last|recently))* (?:deployed|merged|approved|changed|pushed|committed|created|deleted|edited|owns|own|owned|scaled|triggered|acknowledged|paged|wrote|` +
	`rolled|fixed|broke|updated|modified|installed|upgraded|restarted|is (?:on[- ]?call|responsible|paged|oncall)|maintains|silenced|released|shipped|ran)\b|\bwhose fault\b|\bby whom\b`)

// reOpinion asks for reasons or advice, which no query gives.
var reOpinion = regexp.MustCompile(`\bshould (?:i|we)\b|\bhow (?:do|can|could|should) (?:i|we|you) (?:fix|solve|reduce|improve|prevent|avoid|configure|set up|install|upgrade|migrate|enable|disable)\b`)
