"""Words that shops use for the contract's columns, events and tables, in English and German."""

from __future__ import annotations

import re
import unicodedata
from difflib import SequenceMatcher

COLUMNS = {
    "user_id": "user uid userid customer customerid custid customerno customernumber client clientid member memberid "
    "shopper shopperid visitor visitorid buyer buyerid household householdid reviewer reviewerid kunde kunden kundennr "
    "kundennummer kundenid kdnr nutzer nutzerid kaeufer",
    "product_id": "product productid productcode productno prodid pid item itemid itemno sku skuid stockcode asin "
    "parentasin article articleid articleno goods goodsid ean gtin upc isbn artikel artikelnr artikelnummer artikelid "
    "produkt produktid produktnr produktnummer",
    "event": "event eventtype eventname action actiontype behavior behaviour behaviortype behaviourtype activity "
    "interaction interactiontype ereignis aktion vorgang vorgangsart art",
    "time": "time timestamp datetime date ts eventtime eventdate invoicedate orderdate ordertime purchasedate "
    "purchasetime createdat created unixreviewtime reviewtime reviewdate transactiontimestamp transactiondate zeit "
    "zeitpunkt zeitstempel datum bestelldatum kaufdatum rechnungsdatum uhrzeit",
    "quantity": "quantity qty count units pieces menge anzahl stueck stueckzahl",
    "price": "price unitprice itemprice saleprice preis einzelpreis stueckpreis verkaufspreis vk",
    "rating": "rating stars overall score bewertung sterne",
    "text": "text reviewtext review comment body kommentar rezension bewertungstext",
    "channel": "channel kanal vertriebskanal saleschannel",
    "store": "store storeid shop shopid branch filiale filialnr filialnummer markt",
    "order_id": "order orderid orderno ordernumber invoice invoiceno invoiceid invoicenumber basket basketid "
    "transactionid receiptid bestellung bestellnr bestellnummer rechnung rechnungsnr rechnungsnummer auftrag "
    "auftragsnr belegnr belegnummer bonnr",
    "session_id": "session sessionid usersession visitid sitzung sitzungsid",
    "query": "query searchterm searchquery search keyword keywords suchbegriff suchwort suchanfrage",
    "title": "title name productname itemname producttitle titel bezeichnung artikelname artikelbezeichnung "
    "produktname produktbezeichnung",
    "description": "description productdescription details longtext beschreibung produktbeschreibung langtext",
    "brand": "brand brandname manufacturer vendor maker marke hersteller",
    "category": "category categories categorypath categoryname department kategorie warengruppe produktgruppe",
    "cost": "cost unitcost purchaseprice einkaufspreis ek kosten",
    "stock": "stock inventory stocklevel onhand bestand lagerbestand",
    "image": "image imageurl imurl picture pictureurl imageurlhighres bild bildurl",
    "parent_id": "parent parentid parentsku parentproduct",
    "account_id": "account accountid konto kontonr",
    "split": "split fold",
}
"""Contract column -> words for it, without spaces and signs."""

EVENTS = {
    "view": "view viewed pageview pv detail detailview productview visit page seen show angesehen ansicht",
    "click": "click clicked clk klick geklickt",
    "cart": "cart addtocart addtobasket basket added atc carted warenkorb inwarenkorb",
    "purchase": "purchase purchased buy bought order ordered transaction sale sold checkout payment kauf gekauft "
    "verkauf bestellung bestellt",
    "wishlist": "wishlist wish fav favorite favourite like liked bookmark addtowishlist merkliste merkzettel "
    "wunschliste",
    "return": "return returned refund refunded cancelled canceled retoure rueckgabe storno storniert",
    "review": "review reviewed rate rated rating bewertung bewertet",
    "search": "search searched query suche gesucht",
    "impression": "impression exposure exposed displayed einblendung",
}
"""Contract event -> words for it, without spaces and signs."""

TABLES = {
    "events": "event events sale sales order orders orderlines orderitems transaction transactions purchase purchases "
    "invoice invoices review reviews rating ratings click clicks clickstream log logs behavior behaviors interaction "
    "interactions verkauf verkaeufe bestellung bestellungen umsatz umsaetze rechnungen rezensionen bewertungen",
    "products": "product products item items article articles catalog catalogue sku skus meta metadata artikel "
    "artikelstamm produkt produkte katalog sortiment",
    "users": "user users customer customers client clients member members demographics kunde kunden kundenstamm nutzer",
}
"""Contract table -> words in names of files that hold it."""

PERSONAL = (
    "name firstname lastname surname fullname reviewername username email mail emailaddress phone telephone mobile "
    "address street birthdate birthday dateofbirth dob ip ipaddress iban vorname nachname telefon telefonnr handy "
    "adresse anschrift strasse geburtsdatum geburtstag kundenname"
)
"""Columns of people that say who they are: not kept unless a person asks for them."""

RELATIONS = (
    "also_bought also_buy also_viewed also_view bought_together buy_after_viewing frequently_bought_together "
    "similar_products accessories cross_sell up_sell"
)
"""Lists of other products that stand beside a product."""

_ALIKE = 0.9
_LONG = 6


def plain(name: str) -> str:
    """A name without case, accents and signs; German umlauts are written out."""
    written = name.casefold().replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    letters = unicodedata.normalize("NFKD", written).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", letters)


def match(name: str, words: str) -> float:
    """How surely a name is one of `words`: 1 for one of them, less for a long one that is spelt much alike, else 0."""
    wanted, known = plain(name), words.split()
    if wanted in known:
        return 1.0
    if len(wanted) < _LONG:
        return 0.0
    best = max((SequenceMatcher(None, wanted, w).ratio() for w in known if len(w) >= _LONG), default=0.0)
    return best if best >= _ALIKE else 0.0


def event_of(word: str) -> str | None:
    """The contract event that a source's word stands for; None where it is not known."""
    return next((event for event, words in EVENTS.items() if plain(word) in (event, *words.split())), None)
