"""The commonest words of languages in Latin script, those left out that English has too, such as "die", "in", "son"."""

import re

_BY_LANGUAGE = """
af: het nie jy sy ons hulle vir met wat maar ek hierdie kan om te deur word
ca: el els les amb que és una del dels per com més són aquest què els
cs: je na se že to jsem jak pro ale jako nebo jsou byl který ve ze aby
cy: yn yr mae ac ei ar gan oedd eu wedi bod hyn
da: og det er til en af den ikke jeg med som der du hvad kan har fra vi på
de: der das ist nicht ein eine einen zu den mit sie ich es von wie dem sich auf für auch wo wir bitte oder wenn kann
  aber sind dort unter dass mich mir dich dir uns ihr ihre hat haben wird werden nach bei aus muss
es: el los las que de una es por para se del como qué lo más su está al cómo muy pero puede hay sobre mi tu sus este
  esta hoy todo también entre cuál ser
et: ja on ei see et kui oma aga mis ta ma olen
fi: ja on ei se että hän mutta ovat kun olen oli mitä niin tai joka
fr: le les des une est que et dans vous je du ne pas ce qui sur avec plus sont être cette au il elle nous mais ou
  comme votre à où ça mon ma mes ses sa leur aux très quel quelle
hr: je se na su da što za od kako ili ali koji sam iz bi
hu: ha hogyan nagyon mi az és egy hogy nem van ez is meg volt de mint azt csak
id: yang dan di ini itu dengan untuk tidak dari dalam akan adalah pada anda saya apa bisa atau
it: il che di è per un una non sono del della gli le si come più ma questo questa dei nel da anche mi ti cosa miei
  mia molto
lt: ir yra kad su į iš kaip tai bet apie jis
lv: un ir ar no uz par kas bet kā tas es ka
nl: de het een en van ik dat niet te zijn met voor op wat hoe je er aan ook maar naar deze kan bij mijn hun
no: og det er til en av ikke jeg på som med har den hva kan fra vi et de seg
pl: nie się na jest że jak to co za od ale przez czy dla oraz po są być
pt: que de uma um o e não os para do em mais como se é ao as dos ele está você ou muito são foi na qual sua seu isso
  este esta também entre quantos quantas
ro: și de la în nu este un să cu pe că mai din pentru ce sunt sau
sk: je na sa že som ako pre ale alebo sú bol ktorý čo aby
sl: je in na se da za so ki kot ali pri kako bi kaj tudi
so: waa iyo oo ka ku ay ee waxa si
sq: dhe në të një për është me që nga nuk si do
sv: och det är att en som på av inte jag för med den till har vi vad kan ett om
sw: na ya wa kwa ni katika za la hii kama kuwa hiyo
tl: ang mga sa ng na ay hindi ako ito ko mo siya
tr: bir ve bu için ne de da ile mi olarak çok gibi daha var ben nasıl
vi: là của và có không cho được các một những trong với bạn tôi này để
"""
_ENGLISH_TOO = frozenset(
    "a as an at are do in is on or no to so us we me he all van son sin con die men ton time see by was".split()
)
COMMON_FOREIGN = frozenset(re.sub(r"\w+:", "", _BY_LANGUAGE).split()) - _ENGLISH_TOO
IN_NAMES = COMMON_FOREIGN & set("de la le les el del da du des di en un il den der das y e i o si".split())
