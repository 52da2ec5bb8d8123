-- English to the others. Words that are not here pass as they are.
return {
  de = { hello = "hallo", friend = "Freund", good = "guten", morning = "Morgen", thanks = "danke", here = "hier", i = "ich", am = "bin", the = "der", squirrel = "Eichhörnchen" },
  es = { hello = "hola", friend = "amigo", good = "buenos", morning = "días", thanks = "gracias", here = "aquí", i = "yo", am = "estoy", the = "la", squirrel = "ardilla" },
  fr = { hello = "bonjour", friend = "ami", good = "bon", morning = "matin", thanks = "merci", here = "ici", i = "je", am = "suis", the = "l'", squirrel = "écureuil" },
}
